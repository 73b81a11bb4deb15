"""`make help` lists the targets with what they do; a folder's name may hold a space."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

UNTOLD = {"help", "identity"}  # what only other targets need


def test_make_help_lists_every_target_from_the_first_to_try() -> None:
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    listed = re.findall(r"^  ([a-z-]+) +\S.{8,}$", said, re.MULTILINE)
    assert set(listed) == set(phony[1].split()) - UNTOLD
    assert listed[:2] == ["repro", "real"]
    assert max(map(len, said.splitlines())) <= 100


def test_make_clean_removes_outputs_and_nothing_that_git_keeps(tmp_path: Path) -> None:
    kept = [
        "models/.gitignore",
        "report/.gitignore",
        "data/.gitignore",
        "data/sources/own/rows.jsonl",
        ".dvc/cache/files",
    ]
    gone = ["models/2b/weights", "report/index.html", "data/train.jsonl", "data/predictions/2b.jsonl", ".cache/scratch"]
    for name in (*kept, *gone):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    shutil.copy(ROOT / "Makefile", tmp_path)
    subprocess.run(["make", "clean"], cwd=tmp_path, capture_output=True, check=True)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"Makefile", *kept}


@pytest.mark.parametrize("active", [True, False])
def test_a_path_may_hold_a_space(tmp_path: Path, active: bool) -> None:
    """The environment is made once, where it belongs, and its python runs the command."""
    folder = tmp_path / "my  work" / "a clone"
    environment = folder / ".venv" if not active else tmp_path / "my  env"
    (environment / "bin").mkdir(parents=True)
    folder.mkdir(exist_ok=True, parents=True)
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / name, folder)
    python = environment / "bin" / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/said"\n')
    python.chmod(0o755)
    variables = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "MAKEFLAGS")}
    variables |= {"VIRTUAL_ENV": str(environment)} if active else {}
    for _ in range(2):
        done = subprocess.run(["make", "check"], cwd=folder, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    said = (tmp_path / "said").read_text().splitlines()
    assert [line.split(" ")[1] for line in said] == ["pip", "pip", "stages.parameters", "stages.parameters"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        {"my  work", "said"} | ({"my  env"} if active else set())
    )
