"""`make share` says what is missing before it sends anything; tests/integration/test_machines.py shares for real."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from relearn.errors import InputError
from relearn.params import load
from stages import share
from stages.paths import Paths
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], r"no git remote is named origin; `git remote add origin URL` adds one"),
        (["cluster"], r"no git remote is named cluster"),
        (["elsewhere"], r"DVC has no default remote; `dvc remote add --default NAME URL`"),
        (["a", "b"], r"usage: python -m stages\.share \[GIT_REMOTE\]"),
    ],
)
def test_what_is_missing_is_said_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    for command in (["git", "init", "-q"], ["git", "remote", "add", "elsewhere", "nowhere"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    told: list[str] = []
    monkeypatch.setattr(share, "run_dvc", lambda _, *command: told.append(" ".join(command)))
    monkeypatch.setattr(sys, "argv", ["share", *arguments])
    with pytest.raises(InputError, match=said):
        share.work(load(ROOT), Paths.of(tmp_path))
    assert told == []
