"""Curves along a factor, over clusters: where one reaches a target first, and what another is there.

A curve is known at some factors and taken as linear between them. Everything is resampled together: row r of every array
is the same draw of clusters, and a place that a draw does not have is nan. nan counts against every claim: as the lowest
value at an interval's low end and as the highest at its high end, and on both sides of a test.
"""

from __future__ import annotations

import math

import numpy as np

from relearn.statistics.resampling import Counts, Interval, resampled, student_tail
from relearn.statistics.scores import Floats


def values_along(amounts: Floats, sizes: Floats, drawn: Counts) -> Floats:
    """amounts (clusters, factors) over sizes (clusters,), of the sample itself and then of every draw: (1 + draws, factors)."""
    sums = np.hstack([amounts, sizes[:, None]])
    found = resampled(sums, _quotient, drawn)
    return np.vstack([_quotient(sums.sum(axis=0)[None]), found])


def _quotient(sums: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[..., :-1] / sums[..., -1:])


def find_crossings(factors: Floats, gains: Floats, targets: Floats) -> Floats:
    """The smallest factor at which each row of `gains` (rows, factors) is at its target (rows,), above 0.

    nan where it never is, and where the target is not above 0: there is then nothing to reach. A curve that starts at or
    above its target has reached it at the first factor.
    """
    reached = gains >= targets[:, None]
    place = reached.argmax(axis=1)
    before = np.maximum(place - 1, 0)
    rows = np.arange(len(gains))
    low, high = gains[rows, before], gains[rows, place]
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(place == before, 0.0, (targets - low) / (high - low))
    found = factors[before] + part * (factors[place] - factors[before])
    return np.where(reached.any(axis=1) & (targets > 0), found, np.nan)


def read_at(factors: Floats, values: Floats, places: Floats) -> Floats:
    """Each row of `values` (rows, factors) at its place (rows,), linear between factors; nan at no place."""
    known = ~np.isnan(places)
    at = np.where(known, places, factors[0])
    left = np.clip(np.searchsorted(factors, at, side="right") - 1, 0, len(factors) - 2)
    rows = np.arange(len(values))
    part = (at - factors[left]) / (factors[left + 1] - factors[left])
    found = values[rows, left] + part * (values[rows, left + 1] - values[rows, left])
    return np.where(known, found, np.nan)


def guarded_ends(drawn: Floats, clusters: int) -> Interval:
    """The 95% percentile interval of drawn values, widened for few clusters as `resampling.percentiles` is.

    An end is infinite where too many draws have no value.
    """
    if clusters < 2:
        return Interval(math.nan, math.nan)
    tail, missing = student_tail(clusters), np.isnan(drawn)
    low = np.quantile(np.where(missing, -np.inf, drawn), tail, method="lower")
    high = np.quantile(np.where(missing, np.inf, drawn), 1 - tail, method="higher")
    return Interval(float(low), float(high))


def guarded_p(drawn: Floats, clusters: int) -> float:
    """p of a two-sided test against 0 from drawn values: the level at which the interval would leave 0 out.

    At least 2 / (draws + 1), so that no p is below what so many draws can show.
    """
    from scipy.special import ndtri, stdtr

    if clusters < 2:
        return math.nan
    missing = np.isnan(drawn)
    against = min(int((missing | (drawn <= 0)).sum()), int((missing | (drawn >= 0)).sum()))
    share = (1 + against) / (1 + len(drawn))
    if share >= 0.5:
        return 1.0
    deviations = -float(ndtri(share)) * math.sqrt((clusters - 1) / clusters)
    return max(2 * float(stdtr(clusters - 1, -deviations)), 2 / (1 + len(drawn)))
