"""A round killed at random moments and run again ends in the same bytes; another parameter starts from nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.tuning_kill import PASSES, ROUNDS, Kills, Zygote, lengthen
from tests.integration.conftest import Clone


def kills(clone: Clone, count: int, passes: int = PASSES) -> None:
    lengthen(clone.folder, passes)
    with Zygote(clone.folder, clone.environment) as zygote:
        for name in ROUNDS:
            found = Kills(clone.folder, name, zygote).done(count)
            assert len(found) == count
            assert all(kill["equal"] for kill in found), found


def test_killed_rounds_end_in_the_same_bytes(run_clone: Clone) -> None:
    kills(run_clone, 1, passes=12)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_rounds_end_in_the_same_bytes_many_times(run_clone: Clone) -> None:
    kills(run_clone, 8)


@pytest.mark.slow
def test_a_checkpoint_serves_only_the_run_that_wrote_it(run_clone: Clone, tmp_path: Path) -> None:
    """A checkpoint of other parameters is not gone on from; the same one is, whichever folder the checkout is in."""
    lengthen(run_clone.folder)
    with Zygote(run_clone.folder, run_clone.environment) as zygote:
        killed = Kills(run_clone.folder, "2b", zygote)
        while killed.done(1)[0]["from"] == 0:  # a moment before the first checkpoint shows nothing
            killed.tally.unlink()
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(run_clone.folder, elsewhere, symlinks=True)
    moved = Clone(elsewhere, tmp_path / "home")
    moved.edit("params.yaml", "lr: 0.01", "lr: 0.005")
    said = moved.python("stages.finetune_2b").stderr
    assert "going on from" not in said
