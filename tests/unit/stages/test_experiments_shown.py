"""Which commits are asked for their experiments, and what is read of one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo

from relearn.errors import InputError
from stages import equal_skill, frontier
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


def test_scores_of_other_parameters_are_not_those_of_the_files_here(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n"
        "  finetune_2b:\n    params:\n      params.yaml:\n        lr: 0.01\n      profiles/a.yaml:\n        lora.rank: 4\n"
        "  report:\n    params:\n      profiles/a.yaml:\n        label: code\n"
    )
    (tmp_path / "profiles").mkdir()
    profile = tmp_path / "profiles" / "a.yaml"
    (tmp_path / "params.yaml").write_text("lr: 1.0e-2\n")
    profile.write_text("lora: {rank: 4}\nlabel: another\n")  # the report shows every key, and scores nothing
    assert frontier._find_change(Paths.of(tmp_path)) is None
    profile.write_text("lora: {rank: 8}\n")
    assert frontier._find_change(Paths.of(tmp_path)) == "lora.rank of profiles/a.yaml"
    profile.unlink()
    assert frontier._find_change(Paths.of(tmp_path)) == "lora.rank of profiles/a.yaml"
    (tmp_path / "params.yaml").write_text("lr: 0.002\n")
    assert frontier._find_change(Paths.of(tmp_path)) == "lr of params.yaml"


def test_what_an_experiment_made_and_dvc_has_no_more_is_named(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    Repo.init(str(tmp_path)).close()
    (tmp_path / "data").mkdir()
    for name, digest in (("held_out.jsonl", "a" * 32), ("predictions", "b" * 32 + ".dir")):
        (tmp_path / "data" / f"{name}.dvc").write_text(f"outs:\n- md5: {digest}\n  hash: md5\n  path: {name}\n")
    paths, revision = Paths.of(tmp_path), commit(tmp_path, "data/train.jsonl", 1)

    with equal_skill._fetch(paths, revision, paths.train) as file:
        assert file is not None
        assert file.read_text() == "more\n"
    with equal_skill._fetch(paths, revision, paths.skill_items) as file:
        assert file is None
    for gone in (paths.held_out, paths.predicted("2b")):
        name = str(gone.relative_to(tmp_path)).replace(".", r"\.")
        with (
            pytest.raises(
                InputError, match=rf"^{name} of experiment {revision[:9]} is in no cache .*`dvc exp remove`$"
            ),
            equal_skill._fetch(paths, revision, gone),
        ):
            pass
