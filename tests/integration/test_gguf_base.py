"""A base from a GGUF file: converted, tuned on the replayed rows when the profile asks for it, and ready to be tuned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from relearn.files import file_hash
from relearn.gguf.convert import convert
from relearn.models import FrozenBase, load_base
from tests.integration.conftest import Clone
from tests.integration.desk import Desk
from tests.unit.gguf.made import write

FILE = "data/sources/tiny/model/tiny.gguf"


@pytest.fixture
def desk(
    reproduced: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    return Desk(reproduced, tmp_path / "desk", monkeypatch, capsys)


def use_file(desk: Desk, **changes: object) -> Path:
    file = desk.folder / FILE
    file.parent.mkdir()
    write(file)
    source = {"kind": "gguf", "package": None, "path": "model/tiny.gguf", "sha256": file_hash(file), "adapt": None}
    # the byte-level tokenizer makes long rows of the tiny chain's
    desk.set(
        base__model=source | changes, finetune__max_tokens=2048, finetune__eval_every=50, finetune__checkpoint_every=50
    )
    return file


def test_a_gguf_file_is_converted_and_described(desk: Desk) -> None:
    file = use_file(desk)
    assert desk.run("base").status == 0
    convert(file, desk.folder / "plain")
    base = desk.paths.models / "base"
    for name in ("model.safetensors", "tokenizer.json", "chat_template.jinja", "generation_config.json"):
        assert (base / name).read_bytes() == (desk.folder / "plain" / name).read_bytes()
    facts = json.loads((base / "base.json").read_text())
    assert (facts["kind"], facts["path"], facts["sha256"]) == ("gguf", "model/tiny.gguf", file_hash(file))
    assert desk.paths.losses("base").read_text() == "step,task,loss\n"
    assert desk.run("finetune_2b").status == 0
    assert json.loads((desk.paths.models / "2b" / "provenance.json").read_text())["continues"] is None


def test_a_round_on_the_old_data_is_merged_into_the_weights(desk: Desk) -> None:
    """The model answers as the converted file with the same round's adapter on it."""
    adapt = {"epochs": 1, "lr": 0.003}
    file = use_file(desk, adapt=adapt)
    assert desk.run("base").status == 0, desk.said
    base = desk.paths.models / "base"
    assert not (base / "adapter").exists()
    assert json.loads((base / "provenance.json").read_text())["updates"] > 0
    plain, merged = desk.paths.sources / "tiny" / "plain", load_file(base / "model.safetensors")
    convert(file, plain)
    changed = {
        name.split(".")[-2]
        for name, weight in load_file(plain / "model.safetensors").items()
        if not torch.equal(weight, merged[name])
    }
    assert changed == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    losses = desk.paths.losses("base").read_text()
    assert losses.count("\n") > 4

    ids = torch.tensor([[5, 9, 40, 60, 80, 7]])
    logits = load_base(base, "cpu")(input_ids=ids).logits
    desk.set(base__model={"kind": "model", "path": "plain", "revision": None, "adapt": adapt})
    assert desk.run("base").status == 0, desk.said
    assert desk.paths.losses("base").read_text() == losses
    adapted = FrozenBase(plain, "cpu").put(base / "adapter")
    assert torch.allclose(logits, adapted(input_ids=ids).logits, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"path": "model/other.gguf"}, "base: data/sources/tiny/model/other.gguf: no such file"),
        ({"sha256": "0" * 64}, f"base: {FILE}: its SHA-256 is "),
        ({"package": "no_such_package"}, "base: the Python package no_such_package is not installed; install it (pip install"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_there_or_another(desk: Desk, changes: dict[str, str], told: str) -> None:
    use_file(desk, **changes)
    before = desk.state()
    ended = desk.run("base")
    assert (ended.status, desk.state()) == (1, before)
    assert ended.errors.splitlines()[-1].startswith(told)


def test_a_file_cut_off_is_called_that_whatever_its_hash(desk: Desk) -> None:
    file = use_file(desk)
    file.write_bytes(file.read_bytes()[:-1000])
    before = desk.state()
    ended = desk.run("base")
    assert (ended.status, desk.state()) == (1, before)
    assert ended.errors.splitlines()[-1].startswith(f"base: {FILE}: tensor ")
