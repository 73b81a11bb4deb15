"""A stage's scratch folder is named by everything that decides its result, and by nothing else."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from relearn.errors import InputError
from stages import scratch
from stages.paths import Paths
from tests.unit.tiny import shape


def name(root: Path, parameters: Sequence[Any], inputs: list[Path]) -> str:
    folder = scratch.name_folder(Paths.of(root), "base", parameters, inputs)
    assert folder.parent == root / ".cache" / "base"
    return folder.name


def code(root: Path) -> None:
    for file in scratch.CODE:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "rows.jsonl").write_text("a\n")
    code(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"1")
    return tmp_path


def test_the_same_inputs_give_the_same_folder_wherever_they_are(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first = name(root, [1, shape()], [root / "rows.jsonl", root / "model"])
    other = tmp_path_factory.mktemp("other")
    (other / "rows.jsonl").write_text("a\n")
    code(other)
    (other / "model").mkdir()
    (other / "model" / "weights").write_bytes(b"1")
    assert name(other, [1, shape()], [other / "rows.jsonl", other / "model"]) == first


def test_a_changed_parameter_input_library_or_code_gives_another(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = [root / "rows.jsonl", root / "model"]
    names = {name(root, [1, shape()], inputs)}
    names.add(name(root, [2, shape()], inputs))
    names.add(name(root, [1, shape(lr=0.02)], inputs))
    (root / "rows.jsonl").write_text("b\n")
    names.add(name(root, [1, shape()], inputs))
    (root / "model" / "weights").write_bytes(b"2")
    names.add(name(root, [1, shape()], inputs))
    monkeypatch.setattr(scratch.importlib.metadata, "version", lambda library: "0")
    names.add(name(root, [1, shape()], inputs))
    (root / "relearn" / "chat.py").write_text("pass\n")
    names.add(name(root, [1, shape()], inputs))
    assert len(names) == 7


def test_a_folder_in_use_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two experiments at once that train the same must not write each other's checkpoints."""
    folder, waiting = tmp_path / "finetune_2b" / "abc", threading.Event()
    order: list[str] = []

    def note(text: str) -> None:
        assert text == "finetune_2b: another experiment trains the same; waiting for it"
        waiting.set()

    def train_the_same() -> None:
        with scratch.hold(folder):
            order.append("second")
            assert not folder.exists(), "the first has cleared it"

    monkeypatch.setattr(scratch, "say", note)
    second = threading.Thread(target=train_the_same)
    with scratch.hold(folder):
        folder.mkdir()
        second.start()
        assert waiting.wait(timeout=60)
        with pytest.raises(InputError, match="wait for it and run again"), scratch.hold(folder, wait=False):
            pass
        order.append("first")
    second.join(timeout=60)
    assert order == ["first", "second"]
    assert list(folder.parent.iterdir()) == []


def test_checkpoints_outlive_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "finetune_2b" / "abc"
    folder.mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt), scratch.hold(folder):
        raise KeyboardInterrupt
    assert folder.is_dir()
    with scratch.hold(folder, wait=False):
        assert folder.is_dir()
