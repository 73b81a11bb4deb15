"""Model folders: what is read, and what is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from relearn.errors import InputError
from relearn.model_files import check_model_folder, find_weights
from relearn.models import load_base, load_tokenizer
from tests.unit.tiny import model, tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    words = tokenizer()
    model(words).save_pretrained(tmp_path / "model")
    words.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def describe(folder: Path, **facts: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "base.json").write_text(json.dumps(facts))
    return folder


def test_a_folder_is_loaded_as_it_was_saved(folder: Path) -> None:
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(load_base(folder, "cpu")(input_ids=ids).logits, model(tokenizer())(input_ids=ids).logits)
    words = load_tokenizer(folder)
    assert words.decode(words("one two")["input_ids"]) == "one two"
    assert words.chat_template


def test_weights_in_bf16_are_those_of_the_folder_rounded(folder: Path) -> None:
    half, whole = load_base(folder, "cpu", "bf16"), load_base(folder, "cpu")
    assert {weight.dtype for weight in half.parameters()} == {torch.bfloat16}
    for one, other in zip(half.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other.to(torch.bfloat16))


def test_where_the_base_is(tmp_path: Path) -> None:
    base = tmp_path / "base"
    assert find_weights(describe(base, kind="scratch"), tmp_path) == base
    assert find_weights(describe(base, kind="gguf"), tmp_path) == base
    assert find_weights(describe(base, kind="folder", path="data/model"), tmp_path) == tmp_path / "data" / "model"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"kind": "hub"}', '{"kind": "folder"}'])
def test_a_broken_description_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "base.json").write_text(content)
    with pytest.raises(InputError, match="not a description of a base model"):
        find_weights(tmp_path, tmp_path)


def test_a_missing_description_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"base\.json: no such file; run the base stage"):
        find_weights(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("remove", "add", "message"),
    [
        ("config.json", None, r"no config\.json"),
        ("model.safetensors", None, "no weights"),
        ("model.safetensors", "pytorch_model.bin", r"pytorch_model\.bin is a pickle.*convert"),
        ("tokenizer.json", None, "no tokenizer"),
    ],
)
def test_a_folder_that_lacks_something_is_refused(folder: Path, remove: str, add: str | None, message: str) -> None:
    (folder / remove).unlink()
    if add:
        (folder / add).write_bytes(b"\x80\x04.")
    with pytest.raises(InputError, match=message):
        check_model_folder(folder)
    with pytest.raises(InputError, match=message):
        load_base(folder, "cpu")


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such model folder"):
        check_model_folder(tmp_path / "none")


def test_a_tokenizer_without_an_end_token_is_refused(folder: Path) -> None:
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text())
    config.pop("eos_token")
    file.write_text(json.dumps(config))
    with pytest.raises(InputError, match="no end token"):
        load_tokenizer(folder)


def test_code_of_the_repository_is_not_run(folder: Path) -> None:
    file = folder / "config.json"
    config = json.loads(file.read_text())
    config |= {
        "model_type": "homemade",
        "architectures": ["Homemade"],
        "auto_map": {"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"},
    }
    file.write_text(json.dumps(config))
    (folder / "code.py").write_text("raise SystemExit('ran')\n")
    with pytest.raises(InputError, match="needs code of its own"):
        load_base(folder, "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_gpu_without_bf16_is_refused_before_anything_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda emulated: False)
    with pytest.raises(InputError, match=r"compute\.precision: this GPU has no bf16 .*; use fp32"):
        load_base(tmp_path / "nothing here", "cuda", "bf16")


def test_a_device_that_is_not_there(folder: Path) -> None:
    with pytest.raises(InputError, match=r"compute\.device: no CUDA device"):
        load_base(folder, "cuda")


def test_more_processes_than_devices(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(InputError, match=r"compute\.device: 2 CUDA devices .* process 3 has none; start one process"):
        load_base(folder, "cuda")
