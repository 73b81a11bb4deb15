"""What a comparison could show, before it is run: the smallest loss, or how many prompts show a given one.

Two-sided 5%, power 80%. Of a mean whose deviation is known, by the noncentral t (Cohen 1988); of a share, or of scores
from 0 to 1 of which nothing is known, by the paired test of two shares (Connor 1987).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relearn.statistics.gates import POWER
from relearn.statistics.resampling import CONFIDENCE, normal_quantile, student_quantile

MOST = 10**7  # prompts; what would need more is out of reach
FREE = 1e4  # degrees of freedom beyond which Student's t is the normal


@dataclass(frozen=True)
class Noise:
    """One source of chance in a mean difference: the standard deviation of a draw, and how many are drawn.

    A draw is a cluster of prompts (the difference of its means), or a training seed.
    """

    deviation: float
    number: int


def find_detectable(parts: Sequence[Noise]) -> float:
    """The smallest true difference that a t-test over these draws shows in 80% of cases; inf below two draws.

    Variances add up; the degrees of freedom are Satterthwaite's (1946).
    """
    if any(part.number < 2 for part in parts):
        return math.inf
    squares = [(part.deviation**2 / part.number, part.number - 1) for part in parts]
    total = sum(square for square, _ in squares)
    if total == 0:
        return 0.0
    freedom = total**2 / sum(square**2 / free for square, free in squares)
    return standard_errors(freedom) * math.sqrt(total)


def standard_errors(freedom: float) -> float:
    """How many standard errors a true difference must be for a two-sided t-test of 5% to show it in 80% of cases."""
    from scipy.special import nctdtr

    freedom = min(freedom, FREE)
    critical = student_quantile(freedom, (1 + CONFIDENCE) / 2)
    low, high = 0.0, 2 * critical + 10
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if 1 - nctdtr(freedom, middle, critical) >= POWER else (middle, high)
    return high


@dataclass(frozen=True)
class PairedShare:
    """A share of right answers before, and the correlation of right before with right after, over prompts."""

    score: float
    correlation: float

    def changed(self, loss: float) -> float:
        """The share of prompts that are right under one model and wrong under the other, after this loss."""
        before, after = self.score, self.score - loss
        spread = math.sqrt(max(0.0, before * (1 - before) * after * (1 - after)))
        # no more can be right both times than are right after
        both = min(before * after + self.correlation * spread, after)
        return before + after - 2 * both

    def needed(self, loss: float) -> float:
        """Independent prompts that show this loss (Connor 1987); inf where there is less than that to lose."""
        if not 0 < loss <= self.score:
            return math.inf
        changed = self.changed(loss)
        known = math.sqrt(max(0.0, changed - loss**2))
        reach = normal_quantile((1 + CONFIDENCE) / 2) * math.sqrt(changed) + normal_quantile(POWER) * known
        return (reach / loss) ** 2

    def find_detectable(self, size: float) -> float:
        """The smallest loss that so many independent prompts show; inf where not even a total loss shows."""
        if self.needed(self.score) > size:
            return math.inf
        low, high = 0.0, self.score
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if self.needed(middle) <= size else (middle, high)
        return high


def effective_size(prompts: float, clusters: float, within: float) -> float:
    """Independent prompts that tell as much as these (Kish 1965); `within` is the correlation in a cluster, 0 to 1."""
    return prompts / (1 + (prompts / clusters - 1) * within)


def fewest(shows: Callable[[int], bool]) -> int | None:
    """The smallest number from 2 on for which `shows` holds, as it does for every larger one; None beyond MOST."""
    high = 2
    while not shows(high):
        if high >= MOST:
            return None
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high
