"""A user's folder in which stages run inside the test's own process, as `python -m stages.NAME` would run them.

A process of its own for each of a hundred mistakes would spend minutes on imports. What differs from the real thing:
neither the parent's death signal nor the handler of SIGTERM is installed.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import importlib
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages import run as frame
from stages.paths import Paths
from tests.integration.conftest import Clone


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a stage ended."""

    status: int
    errors: str
    said: str


class Desk:
    """A folder with parameters, prompts, sources and the outputs of the tiny chain. The code is the clone's."""

    def __init__(
        self, clone: Clone, folder: Path, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self.patch, self._capture = folder, patch, capture
        for name in ("profiles", "prompts", "data", "models", "metrics", "report"):
            shutil.copytree(clone.folder / name, folder / name)
        shutil.copy(clone.folder / "params.yaml", folder)
        self.said = ""
        self._profile = _tiny(clone.folder)
        self.paths = Paths.of(folder, code=clone.folder)
        patch.chdir(folder)
        # a library's handler may hold the standard error of an earlier test, which is closed
        patch.setattr(logging, "raiseExceptions", False)

    def own_code(self) -> None:
        """Gives the desk a copy of the code, which a test may change."""
        shutil.copytree(self.paths.code / "relearn", self.folder / "relearn")
        self.paths = dataclasses.replace(self.paths, code=self.folder)

    def set(self, **keys: Any) -> None:
        """Changes keys of the profile; a path's dots are written as two underscores."""
        for path, value in keys.items():
            *parents, name = path.split("__")
            group = self._profile
            for parent in parents:
                group = group[parent]
            group[name] = value
        self.write("profiles/tiny.yaml", json.dumps(self._profile))  # JSON is YAML

    def write(self, name: str, content: str | bytes) -> None:
        """Writes a file."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)

    def replace(self, name: str, old: str, new: str) -> None:
        """Replaces a piece of a file, which must be there."""
        text = (self.folder / name).read_text(encoding="utf-8")
        assert old in text, f"{name} does not hold {old!r}"
        self.write(name, text.replace(old, new, 1))

    def line(self, name: str, number: int, content: str | bytes) -> None:
        """Replaces a line of a file, counted from 1."""
        lines = (self.folder / name).read_bytes().split(b"\n")
        lines[number - 1] = content.encode() if isinstance(content, str) else content
        self.write(name, b"\n".join(lines))

    def remove(self, name: str) -> None:
        """Removes a file or folder."""
        place = self.folder / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The rows of a JSON Lines file."""
        return [json.loads(line) for line in (self.folder / name).read_text("utf-8").splitlines() if line.strip()]

    def put(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Writes a JSON Lines file."""
        self.write(name, "".join(json.dumps(row) + "\n" for row in rows))

    def run(self, stage: str, patience: float = 20.0) -> Ended:
        """Runs a stage through its frame."""
        module = importlib.import_module(f"stages.{stage}")
        self._capture.readouterr()
        try:
            frame.run(stage, module.work, self.paths, patience)
            status = 0
        except SystemExit as left:
            status = int(left.code or 0)
        said, errors = self._capture.readouterr()
        self.said = said + errors
        return Ended(status, errors, said)

    def state(self) -> dict[str, str]:
        """Every file outside .cache, by the hash of its bytes."""
        return {
            str(file.relative_to(self.folder)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(self.folder.rglob("*"))
            if file.is_file() and ".cache" not in file.relative_to(self.folder).parts
        }


_PARSED: dict[Path, dict[str, Any]] = {}


def _tiny(folder: Path) -> dict[str, Any]:
    if folder not in _PARSED:
        _PARSED[folder] = YAML(typ="safe").load(folder / "profiles" / "tiny.yaml")
    return copy.deepcopy(_PARSED[folder])
