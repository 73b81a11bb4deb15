"""A stage's scratch folder is named by everything that decides its result, and by nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

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
