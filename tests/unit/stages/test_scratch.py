"""A stage's scratch folder is named by everything that decides its result, and by nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages import paths, scratch
from tests.unit.tiny import shape


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "CACHE", tmp_path / ".cache")
    monkeypatch.setattr(scratch, "CODE", [])
    (tmp_path / "rows.jsonl").write_text("a\n")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"1")
    return tmp_path


def test_the_same_inputs_give_the_same_folder_wherever_they_stand(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = scratch.folder("base", [1, shape()], [root / "rows.jsonl", root / "model"])
    other = tmp_path_factory.mktemp("other")
    (other / "rows.jsonl").write_text("a\n")
    (other / "model").mkdir()
    (other / "model" / "weights").write_bytes(b"1")
    monkeypatch.setattr(paths, "ROOT", other)
    assert scratch.folder("base", [1, shape()], [other / "rows.jsonl", other / "model"]) == first


def test_a_changed_parameter_input_library_or_code_gives_another(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = [root / "rows.jsonl", root / "model"]
    names = {scratch.folder("base", [1, shape()], inputs).name}
    names.add(scratch.folder("base", [2, shape()], inputs).name)
    names.add(scratch.folder("base", [1, shape(lr=0.02)], inputs).name)
    (root / "rows.jsonl").write_text("b\n")
    names.add(scratch.folder("base", [1, shape()], inputs).name)
    (root / "model" / "weights").write_bytes(b"2")
    names.add(scratch.folder("base", [1, shape()], inputs).name)
    monkeypatch.setattr(scratch.importlib.metadata, "version", lambda library: "0")
    names.add(scratch.folder("base", [1, shape()], inputs).name)
    (root / "trainer.py").write_text("pass\n")
    monkeypatch.setattr(scratch, "CODE", [root / "trainer.py"])
    names.add(scratch.folder("base", [1, shape()], inputs).name)
    assert len(names) == 7
