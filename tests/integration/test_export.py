"""What `python -m stages.export` leaves is whole: rows, adapters that load over the exported base, and their cards."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from relearn.errors import InputError
from stages.export import read_arguments
from tests.integration.conftest import Clone


def test_the_export_is_whole_and_loads(run_clone: Clone) -> None:
    said = run_clone.forked("stages.export").stderr
    assert "two adapters in export/" in said
    export = run_clone.folder / "export"

    data = run_clone.folder / "data"
    files = (data / "instructions.jsonl", data / "held_out_instructions.jsonl")
    rows = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    tables = {file.stem: pd.read_parquet(file) for file in (export / "dataset" / "data").iterdir()}
    assert sum(map(len, tables.values())) == len(rows)
    first = json.loads(rows[0])
    found = tables[first["split"]]
    assert first["messages"] in [list(turns) for turns in found["messages"]]

    base = AutoModelForCausalLM.from_pretrained(export / "base").eval()
    prompt = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        before = base(prompt).logits
        for name in ("2b", "2c"):
            config = json.loads((export / name / "adapter_config.json").read_text(encoding="utf-8"))
            assert config["base_model_name_or_path"] == "base"
            card = (export / name / "README.md").read_text(encoding="utf-8")
            assert "| base" in card, "the measured table"
            assert f"| {name}" in card
            fresh = AutoModelForCausalLM.from_pretrained(export / "base")
            tuned = PeftModel.from_pretrained(fresh, export / name).eval()
            assert not torch.equal(tuned(prompt).logits, before), "the adapter changes the model"


def test_an_export_before_the_chain_is_one_line(scratch_clone: Clone) -> None:
    ended = scratch_clone.python("stages.export", check=False)
    assert ended.returncode != 0
    lines = [line for line in ended.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, ended.stderr
    assert "dvc repro" in lines[0]


@pytest.mark.parametrize("more", [[], ["--merged"]])
def test_a_part_of_the_change_is_exported_and_loads(run_clone: Clone, more: list[str]) -> None:
    run_clone.forked("stages.export", "--scale", "0.5", *more)
    export = run_clone.folder / "export"
    prompt = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        fresh = AutoModelForCausalLM.from_pretrained(export / "base")
        tuned = PeftModel.from_pretrained(fresh, export / "2b").eval()
        for module in tuned.modules():
            if isinstance(getattr(module, "scaling", None), dict):  # a layer of the adapter
                module.scaling["default"] *= 0.5
        wanted = tuned(prompt).logits
        if more:
            found = AutoModelForCausalLM.from_pretrained(export / "2b@0.5").eval()(prompt).logits
        else:
            fresh = AutoModelForCausalLM.from_pretrained(export / "base")
            found = PeftModel.from_pretrained(fresh, export / "2b@0.5").eval()(prompt).logits
    assert torch.allclose(found, wanted, atol=1e-5)
    assert "0.5 of the change that 2b makes" in (export / "2b@0.5" / "README.md").read_text(encoding="utf-8")
    assert json.loads((export / "2b@0.5" / "provenance.json").read_text(encoding="utf-8"))["scaled"] == 0.5


@pytest.mark.parametrize("given", [["--scale"], ["--scale", "9"], ["--merged"], ["--scale", "x"], ["--half"]])
def test_other_arguments_are_refused_in_one_line(given: list[str]) -> None:
    with pytest.raises(InputError, match=r"usage: python -m stages\.export \[--scale FACTOR \[--merged\]\]"):
        read_arguments(given)
