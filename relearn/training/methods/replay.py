"""Replay: original rows mixed into the new task's training data, and the control that tells its effect from more steps'.

Rehearsal of stored examples is the oldest remedy for forgetting (Robins 1995); for language models a few per cent
of old data go far (Scialom et al. 2022, Ibrahim et al. 2024).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def mix(new: Sequence[T], old: Sequence[T], share: float, control: bool, seed: int) -> list[T]:
    """`new` and as many extra rows as make them `share` of the whole, drawn under the seed.

    The extra rows are original ones, or with `control` rows of the new task again: the same number of updates
    without replay. Rows are drawn without replacement as long as there are enough, then all over again.
    """
    if not 0 <= share < 1:
        raise ValueError(f"share {share} is outside 0 to 1")
    count = round(len(new) * share / (1 - share))
    pool = new if control else old
    draw = random.Random(f"replay {seed}")
    extra: list[T] = []
    while len(extra) < count:
        extra += draw.sample(pool, min(count - len(extra), len(pool)))
    return [*new, *extra]
