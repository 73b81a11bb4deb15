"""What every metric here returns: per-item sufficient statistics, and how their sum becomes a score.

BLEU, chrF and bits per byte are not means over items, yet each is a function of sums over items. Keeping the
summands lets one resampling engine serve them and plain means alike, without scoring anything twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Combine = Callable[[Floats], Floats]
Direction = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Scores:
    """One metric over the items of one task under one model.

    `stats` has shape (items, k); `combine` turns sums of its rows, shape (..., k), into scores, shape (...).
    An item that the metric leaves out (no reference, say) is a row of zeros. `proportion` marks scores that are
    0 or 1 an item, whose intervals are Wilson's and Newcombe's. `better` says which way is up on this task: code in
    a reply to a review is neither good nor bad.
    """

    name: str
    stats: Floats
    combine: Combine
    better: Direction = "higher"
    proportion: bool = False
    unit: bool = False  # a mean of scores that run from 0 to 1

    @property
    def point(self) -> float:
        """The score over all items; nan where no item counts."""
        return float(self.combine(self.stats.sum(axis=0)))

    @property
    def items(self) -> int:
        """Items that count."""
        return int(np.any(self.stats != 0, axis=1).sum())

    @property
    def sign(self) -> int:
        return -1 if self.better == "lower" else 1

    @property
    def at_bound(self) -> bool:
        """Every item has the lowest or every item the highest score there is: resampling then sees no spread."""
        if not self.unit:
            return False
        total, number = self.stats.sum(axis=0)
        return bool(number > 0 and min(abs(total), abs(number - total)) <= 1e-6 * number)

    def each(self) -> Floats:
        """The score of every item alone, shape (items,); nan where the item does not count."""
        return self.combine(self.stats)

    def spread(self, rows: Sequence[int], items: int) -> Scores:
        """The same scores over a longer list of `items`, in which these are at `rows` and the others do not count."""
        if len(rows) == items:
            return self
        stats = np.zeros((items, self.stats.shape[1]), dtype=self.stats.dtype)
        stats[list(rows)] = self.stats
        return replace(self, stats=stats)


def ratio(sums: Floats) -> Floats:
    """Sum of values over their number; nan where nothing counts. (..., 2) -> (...)."""
    number = sums[..., 1]
    empty: Floats = np.full(number.shape, np.nan)
    return np.asarray(np.divide(sums[..., 0], number, out=empty, where=number > 0))


def mean(
    name: str,
    values: Sequence[float | bool | None] | Floats,
    *,
    proportion: bool = False,
    better: Direction = "higher",
    unit: bool = True,
) -> Scores:
    """The mean over the items whose value is not None; `unit` where values run from 0 to 1."""
    stats = np.array([[0.0, 0.0] if v is None else [float(v), 1.0] for v in values]).reshape(-1, 2)
    return Scores(name, stats, ratio, better, proportion, unit)
