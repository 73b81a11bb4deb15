"""The mix holds the share it was asked for, and the control holds as many rows of the new task."""

from __future__ import annotations

from collections import Counter

import pytest

from relearn.training.methods.replay import mix

NEW = [f"new {number}" for number in range(350)]
OLD = [f"old {number}" for number in range(700)]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.02, 0.05, 0.1, 0.3, 0.9])
def test_the_share_of_the_final_mix_is_original(share: float) -> None:
    rows = mix(NEW, OLD, share, control=False, seed=1)
    old = [row for row in rows if row.startswith("old")]
    assert len(old) / len(rows) == pytest.approx(share, abs=1 / len(rows))
    assert rows[: len(NEW)] == NEW


def test_the_control_trains_as_long_without_replay() -> None:
    replayed = mix(NEW, OLD, 0.3, control=False, seed=1)
    control = mix(NEW, OLD, 0.3, control=True, seed=1)
    assert len(control) == len(replayed)
    assert all(row.startswith("new") for row in control)


def test_rows_repeat_only_when_there_are_too_few() -> None:
    assert max(Counter(mix(NEW, OLD, 0.3, control=False, seed=1)).values()) == 1
    counts = Counter(mix(NEW, OLD[:50], 0.5, control=False, seed=1))
    assert {counts[row] for row in OLD[:50]} == {7}


def test_the_seed_draws() -> None:
    assert mix(NEW, OLD, 0.1, False, 1) == mix(NEW, OLD, 0.1, False, 1) != mix(NEW, OLD, 0.1, False, 2)


def test_a_share_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        mix(NEW, OLD, 1.0, False, 1)
