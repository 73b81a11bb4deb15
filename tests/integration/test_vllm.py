"""Predict over a vLLM that it starts: every model is asked under its name; over a real one, the answers and likelihoods
are those of the local backend, and nothing is left running.

RELEARN_VLLM is the Python of an environment that has vLLM (its CPU build is enough).
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig, get_peft_model

from relearn.chat import Chat
from relearn.files import read_jsonl, write_json, write_jsonl
from relearn.models import set_seed_and_threads
from relearn.params import Params
from relearn.records import Message, Prediction, Row
from stages import predict
from stages.paths import Paths
from tests.unit import tiny
from tests.unit.params.test_load import RATES, parsed

VLLM = os.environ.get("RELEARN_VLLM", "")
ROOT = Path(__file__).parents[2]
TASK = "code"
LIKE = 0.02  # of a task's bits per byte
MODELS = ("base", "2b", "2c")
SERVED = {
    "kind": "vllm", "python": VLLM, "tensor_parallel": 1, "arguments": ["--enforce-eager", "--gpu-memory-utilization", "0.3"], "start_s": 1800.0,
    "concurrency": 8, "timeout_s": 600.0, "attempts": 2,
}  # fmt: skip


def params(backend: dict[str, Any], precision: str, seeds: list[int] | None = None) -> Params:
    tree: dict[str, Any] = {
        "profile": "mini", "lr": RATES["mini"], "seed": 1, "method": "plain", **copy.deepcopy(parsed("mini"))
    }  # fmt: skip
    tree["predict"] |= {"backend": backend, "scales": [], "decode_scales": []}
    tree["compute"] |= {"precision": precision}
    tree["seeds"] = seeds or []
    return Params.model_validate(tree)


def make_models(paths: Paths) -> None:
    """A base of random weights that is sure of what it says, and adapters that change what that is."""
    from relearn.training import scratch

    words, base = tiny.tokenizer(), paths.models / "base"

    def make() -> Any:
        set_seed_and_threads(1, 0)
        model = scratch.new_model(words, tiny.shape(hidden=128, layers=2, heads=4, intermediate=256))
        for weight in model.parameters():
            if weight.dim() > 1:  # all but those of norms
                weight.data *= 8
        return model

    make().save_pretrained(base)
    words.save_pretrained(base)
    write_json(base / "base.json", {"kind": "scratch"})
    for name, rank in (("2b", 4), ("2c", 12)):
        model = make()
        set_seed_and_threads(1, rank)
        lora = LoraConfig(r=rank, lora_alpha=32, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
        get_peft_model(model, lora).save_pretrained(paths.adapter(name))


def make_rows(paths: Paths) -> None:
    rows = [
        Row(
            id=f"c{number}", task=TASK, role="replayed", group=f"g{number}", split="test", tests=[],
            messages=[Message(role=turn.role, content=turn.content) for turn in turns],
        )
        for number, turns in enumerate(tiny.ROWS[:40])
    ]  # fmt: skip
    write_jsonl(paths.held_out, rows)
    write_jsonl(paths.held_out_instructions, [])
    write_jsonl(paths.skill_items, [])
    paths.probes("mini").parent.mkdir(parents=True)
    paths.probes("mini").write_text("- {id: p1, kind: poem, instruction: Sing., check: [{type: sentences, min: 1}]}\n")


def read(paths: Paths) -> dict[str, list[Prediction]]:
    return {name: list(read_jsonl(paths.predicted(name), Prediction)) for name in MODELS}


def readable(row: Prediction) -> str:
    """The answer without bytes that make no character, which these weights write and vLLM may hold back."""
    return row.prediction.replace("\ufffd", "").strip()


def processes_in(folder: Path) -> list[str]:
    """The processes that run there, as vLLM's do."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append((process / "cmdline").read_bytes().decode(errors="replace"))
        except OSError:  # it ended meanwhile
            continue
    return found


def test_every_model_is_asked_under_its_name_those_of_further_seeds_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths.of(tmp_path / "project", code=ROOT)
    make_models(paths)
    make_rows(paths)
    for name in ("2b", "2c"):
        shutil.copytree(paths.adapter(name), paths.adapter(name, 7))
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/unit/decoding/fake_vllm.py "$@"\n')
    program.chmod(0o755)
    words = tiny.tokenizer()
    first = Chat(words, tiny.TEMPLATE).encode_prompt(tiny.ROWS[0][:-1])
    monkeypatch.setenv("FAKE_TOKENS", json.dumps(first))
    facts = predict.work(params({**SERVED, "python": str(program)}, "bf16", [7]), paths)
    served = {
        ("base", None): "weights",
        ("2b", None): "2b",
        ("2c", None): "2c",
        ("2b", 7): "2b-seed-7",
        ("2c", 7): "2c-seed-7",
    }
    for (name, seed), model in served.items():
        rows = list(read_jsonl(paths.predicted(name, seed), Prediction))
        assert [row.prediction.split(":")[0] for row in rows] == [model] * 41
        tokens = [len(Chat(words, tiny.TEMPLATE).encode_response(row.reference)) for row in rows if row.reference]
        assert [row.nll for row in rows if row.nll is not None] == [float(len(model) * number) for number in tokens]
    assert {"2b, seed 7", "2c, seed 7"} <= set(facts)
    monkeypatch.setenv("FAKE", "quits")  # asked anything, it would die
    predict.work(params({**SERVED, "python": str(program)}, "bf16", [7]), paths)


@pytest.mark.slow
@pytest.mark.skipif(not VLLM, reason="no vLLM: set RELEARN_VLLM to the Python of an environment that has it")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_vllms_answers_and_likelihoods_are_the_local_ones(tmp_path: Path, precision: str) -> None:
    paths = Paths.of(tmp_path, code=ROOT)
    make_models(paths)
    make_rows(paths)
    predict.work(params({"kind": "local"}, precision), paths)
    here = read(paths)
    facts = predict.work(params(SERVED, precision), paths)
    there = read(paths)
    assert facts["prompts"] == 41
    assert {len(rows) for rows in there.values()} == {41}
    for name in MODELS:
        weighed = {"here": here[name], "there": there[name]}
        found = {at: {row.id: row.nll for row in rows if row.nll is not None} for at, rows in weighed.items()}
        sums = {at: sum(nlls.values()) for at, nlls in found.items()}
        print(f"{name}: {sums['here']:.3f} nats here, {sums['there']:.3f} of vLLM")
        assert len(found["there"]) == 40
        if precision == "fp32":  # in bf16 another order of sums makes another token the likeliest
            assert found["there"] == pytest.approx(found["here"], rel=1e-3)
            assert list(map(readable, there[name])) == list(map(readable, here[name])), name
        assert sums["there"] == pytest.approx(sums["here"], rel=LIKE)
    until = time.monotonic() + 10  # that the kernel gets to end what was killed
    while processes_in(paths.cache) and time.monotonic() < until:
        time.sleep(0.1)
    assert processes_in(paths.cache) == []
