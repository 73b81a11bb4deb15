"""Replay: rows of old tasks mixed into those of the new, and the control that tells its effect from more updates'.

Rehearsal of stored examples is the oldest remedy for forgetting (Robins 1995); for language models a few per cent
of old data go far (Scialom et al. 2022, Ibrahim et al. 2024).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from relearn.errors import InputError
from relearn.training.method import Method

T = TypeVar("T")


class Replay(Method):
    """As many extra rows as make them `share` of the whole, drawn under the seed.

    They are rows of replayed tasks, or with `control` rows of the new tasks again: the same number of updates without
    replay. Rows are drawn without replacement as long as there are enough, then all over again.
    """

    def choose_rows(self, new: Sequence[T], old: Sequence[T]) -> list[T]:
        """`new`, then the extra rows. Raises InputError where there are no rows to replay."""
        share = self.options.share
        pool = new if self.options.control else old
        if not pool:
            raise InputError("method: replay needs rows of a task of role replayed; add one, or use plain")
        count = round(len(new) * share / (1 - share))
        draw = random.Random(f"replay {self.seed}")
        extra: list[T] = []
        while len(extra) < count:
            extra += draw.sample(pool, min(count - len(extra), len(pool)))
        return [*new, *extra]
