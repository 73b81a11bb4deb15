"""A copy of the project in which a test runs stages, edits parameters and spoils inputs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from relearn.files import read_jsonl
from relearn.records import Row, Source
from tests.conftest import ROOT

PREPARED = (
    "data/train.jsonl", "data/held_out.jsonl", "data/sources.jsonl", "data/held_out_sources.jsonl", "data/model_files.json",
    "data/skills.jsonl", "metrics/prepare.json",
)  # fmt: skip

# Compiled modules save each stage a second. Another process may be writing some: those names are gone a moment later.
HALF_WRITTEN = shutil.ignore_patterns("*.pyc.*")


class Project:
    """A copy of the project in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("relearn", "stages", "profiles", "prompts", "data/sources"):
            shutil.copytree(ROOT / name, folder / name, ignore=HALF_WRITTEN)
        shutil.copy(ROOT / "params.yaml", folder)

    def edit(self, file: str, change: Callable[[Any], None]) -> None:
        """Changes a parameter file."""
        yaml = YAML()
        value = yaml.load(self.folder / file)
        change(value)
        yaml.dump(value, self.folder / file)

    def use(self, profile: str, **swept: object) -> None:
        """Switches to a profile."""
        self.edit("params.yaml", lambda params: params.update({"profile": profile, "lr": 0.001, **swept}))

    def run(self, stage: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Runs a stage as dvc does, without dvc; `extra` are environment variables."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "PYTHON"))}
        return subprocess.run(
            [sys.executable, "-m", f"stages.{stage}"],
            cwd=self.folder,
            env={**environment, **extra},
            capture_output=True,
            text=True,
            check=False,
        )

    def done(self, stage: str, **extra: str) -> None:
        """Runs a stage, which must end well."""
        result = self.run(stage, **extra)
        assert result.returncode == 0, result.stderr

    def prepared(self, **extra: str) -> dict[str, Any]:
        """Runs the prepare stage, which must end well, and returns the counts."""
        self.done("prepare", **extra)
        counts: dict[str, Any] = json.loads((self.folder / "metrics/prepare.json").read_text())
        return counts

    def hashes(self) -> dict[str, str]:
        """The outputs of prepare by hash; those that are not there are left out."""
        files = {name: self.folder / name for name in PREPARED}
        return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items() if file.exists()}

    def texts(self) -> list[Source]:
        return [
            text
            for name in ("sources", "held_out_sources")
            for text in read_jsonl(self.folder / f"data/{name}.jsonl", Source)
        ]

    def rows(self) -> list[Row]:
        return [row for name in ("train", "held_out") for row in read_jsonl(self.folder / f"data/{name}.jsonl", Row)]
