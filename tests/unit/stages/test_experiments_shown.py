"""Which commits are asked for their experiments."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from relearn.errors import InputError
from stages import frontier
from stages.paths import Paths

OWN = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *OWN, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path, file: str, day: int) -> str:
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    with (folder / file).open("a", encoding="utf-8") as out:
        out.write("more\n")
    git(folder, "add", "-A")
    date = f"2026-01-{day:02}T12:00:00Z"
    subprocess.run(
        ["git", *OWN, "commit", "-q", "-m", file], cwd=folder, check=True, env=os.environ | {"GIT_COMMITTER_DATE": date}
    )
    return git(folder, "rev-parse", "HEAD")


def test_commits_without_experiments_and_without_new_scores_are_not_read(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    scored = commit(tmp_path, "metrics/eval_3a/base.json", 1)
    started = commit(tmp_path, "code.py", 2)
    neither = commit(tmp_path, "README.md", 3)
    head = commit(tmp_path, "code.py", 4)
    git(tmp_path, "update-ref", f"refs/exps/{started[:2]}/{started[2:]}/an-experiment", neither)
    git(tmp_path, "update-ref", "refs/exps/exec/EXEC_HEAD", neither)  # DVC's own
    assert frontier._list_commits(Paths.of(tmp_path)) == [head, started, scored]


def test_outside_a_repository_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^git rev-parse failed: .*; run it by hand to see more$"):
        frontier.show_experiments(Paths.of(tmp_path))
