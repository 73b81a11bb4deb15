"""Tests of a difference over clusters: paired approximate randomisation, Holm, and what a sample could have shown.

Like `resampling`, on the summed statistics of `scores.Scores`, a cluster at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from relearn.statistics.resampling import CONFIDENCE, Interval, blocks, normal_quantile
from relearn.statistics.scores import Combine, Floats

LEVEL = 0.05  # of every paired test, after Holm's correction
# A metric's sums within clusters under two models, (clusters, k) each, and what makes sums a score.
Tested = tuple[Floats, Floats, Combine]


def randomisation(before: Floats, after: Floats, combine: Combine, swaps: int, seed: int) -> float:
    """p of a two-sided paired approximate randomisation test that swaps whole clusters between two models.

    `before` and `after` are (clusters, k); `swaps` is how many random assignments are tried. Noreen 1989;
    p = (1 + at least as extreme) / (1 + swaps), which keeps the test's level exact. Memory is bounded whatever
    `swaps` and the clusters are. nan where a model has no score.
    """
    return randomisations([(before, after, combine)], swaps, seed)[0]


def randomisations(tests: Sequence[Tested], swaps: int, seed: int) -> list[float]:
    """`randomisation` of several metrics over the same clusters, each as alone: one drawing of the swaps serves all.

    Of many clusters the drawing is most of the work.
    """
    if not tests:
        return []
    totals = [(before.sum(axis=0), after.sum(axis=0)) for before, after, _ in tests]
    observed = [
        float(combine(last) - combine(first)) for (first, last), (_, _, combine) in zip(totals, tests, strict=True)
    ]
    gains = np.hstack([after - before for before, after, _ in tests])
    ends = np.cumsum([len(first) for first, _ in totals])
    extreme = [0] * len(tests)
    generator = np.random.default_rng(seed)
    for rows in blocks(swaps, len(gains)):
        moved = generator.integers(0, 2, size=(rows.stop - rows.start, len(gains))).astype(float) @ gains
        for index, ((first, last), (_, _, combine)) in enumerate(zip(totals, tests, strict=True)):
            own = moved[:, ends[index] - len(first) : ends[index]]
            changes = combine(last - own) - combine(first + own)
            # The tolerance keeps ties, which floating point would otherwise break at random.
            extreme[index] += int((np.abs(changes) >= abs(observed[index]) - 1e-12).sum())
    return [
        math.nan if math.isnan(change) else (1 + count) / (1 + swaps)
        for change, count in zip(observed, extreme, strict=True)
    ]


def holm(values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979) of a family of p values; nan stays nan and does not count."""
    order = sorted((p, index) for index, p in enumerate(values) if not math.isnan(p))
    adjusted = [math.nan] * len(values)
    running = 0.0
    for rank, (p, index) in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * p))
        adjusted[index] = running
    return adjusted


def minimum_detectable(differences: Floats, power: float = 0.8) -> float:
    """The smallest true difference that this sample would have shown (two-sided 5%, power 80%), from resampled ones.

    (z(0.975) + z(power)) standard errors: Cohen 1988; reported so that "no difference found" says how large one
    could have been missed.
    """
    values = differences[~np.isnan(differences)]
    if len(values) < 2:
        return math.nan
    scale = normal_quantile((1 + CONFIDENCE) / 2) + normal_quantile(power)
    return scale * float(values.std(ddof=1))


def detectable_by(ends: Interval, power: float = 0.8) -> float:
    """`minimum_detectable` from the interval of a difference of shares, which has width where resamples have none."""
    z = normal_quantile((1 + CONFIDENCE) / 2)
    return (z + normal_quantile(power)) / z * (ends.high - ends.low) / 2
