"""Intervals over clusters: bootstrap, Wilson, Newcombe, and what follows from them for differences and ratios.

Everything works on the summed statistics of `scores.Scores`, a cluster at a time, so that a resample of a thousand
costs one matrix product, whatever the metric.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from relearn.statistics.scores import Combine, Floats, Scores

CONFIDENCE = 0.95
FEW_ITEMS, FEW_CLUSTERS = 200, 30
CELLS = 1 << 21  # of draws or swaps that are worked on at once: 16 MiB

Counts = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Interval:
    """A 95% interval; nan ends where nothing can be said."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def normal_quantile(share: float) -> float:
    from scipy.special import ndtri  # scipy takes longer to import than most of what needs no interval

    return float(ndtri(share))


def student_quantile(freedom: float, share: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, share))


def cluster_sums(stats: Floats, clusters: npt.NDArray[np.intp], number: int) -> Floats:
    """(items, k) summed within clusters numbered from 0: (number, k)."""
    sums = np.zeros((number, stats.shape[1]))
    np.add.at(sums, clusters, stats)
    return sums


def number_clusters(groups: Sequence[str]) -> tuple[npt.NDArray[np.intp], int]:
    """Cluster numbers in order of first appearance, and how many there are."""
    seen: dict[str, int] = {}
    numbers = [seen.setdefault(group, len(seen)) for group in groups]
    return np.array(numbers, dtype=np.intp), len(seen)


def draw(clusters: int, resamples: int, seed: int) -> Counts:
    """How often each resample takes each cluster: (resamples, clusters), rows summing to `clusters`.

    One draw serves every model and metric of a task: that is what makes differences paired.
    """
    return draw_within([clusters], resamples, seed)


def draw_within(strata: Sequence[int], resamples: int, seed: int) -> Counts:
    """`draw` for clusters ordered stratum by stratum, `strata` giving the clusters of each.

    Each stratum keeps its size in every resample: how many prompts a task has was chosen, not drawn.
    Two bytes a count: of a million prompts these are most of what is held. A count that does not fit has a chance
    of less than 1 in 65,536 factorial.
    """
    generator = np.random.default_rng(seed)
    drawn = np.empty((resamples, sum(strata)), dtype=np.uint16)
    first = 0
    for size in strata:
        for rows in blocks(resamples, size):
            drawn[rows, first : first + size] = generator.multinomial(
                size, np.full(size, 1 / size), size=rows.stop - rows.start
            )
        first += size
    return drawn


def blocks(rows: int, width: int) -> Iterator[slice]:
    """Slices of so many rows that are together no larger than CELLS (a row at least)."""
    step = max(1, CELLS // max(1, width))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def percentiles(values: Floats, clusters: int) -> Interval:
    """The 95% percentile interval of resampled values, widened for few clusters (Hesterberg 2015, section 5.3).

    The plain percentile interval is too narrow by a factor of about sqrt((n - 1) / n) and by the normal's quantile
    in place of Student's; taking percentiles further out makes up for both.
    """
    values = values[~np.isnan(values)]
    if len(values) == 0 or clusters < 2:
        return Interval(math.nan, math.nan)
    tail = student_tail(clusters)
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high))


def student_tail(clusters: int) -> float:
    """The share of resamples beyond each end of such an interval; `clusters` are 2 or more."""
    from scipy.special import ndtr

    return float(ndtr(-math.sqrt(clusters / (clusters - 1)) * student_quantile(clusters - 1, (1 + CONFIDENCE) / 2)))


def resampled(sums: Floats, combine: Combine, drawn: Counts) -> Floats:
    """The score of every resample, (resamples,)."""
    found = np.empty((len(drawn), sums.shape[1]))
    for rows in blocks(*drawn.shape):
        found[rows] = drawn[rows].astype(float) @ sums
    return combine(found)


def wilson(sums: Floats) -> Interval:
    """Wilson's score interval of a proportion over clusters; `sums` is (clusters, 2): hits and items.

    The number of items is divided by the design effect, and scaled for Student's t with clusters - 1 degrees of
    freedom (Korn & Graubard 1998; Dean & Pagano 2015 recommend Wilson's on the effective size). All right or all
    wrong tells nothing about the design effect: the worst, that a cluster is one observation, is taken then.
    """
    sums = sums[sums[:, 1] > 0]
    if len(sums) == 0:
        return Interval(math.nan, math.nan)
    low, high = _wilson_ends(*_effective(sums))
    return Interval(low, high)


def newcombe(before: Floats, after: Floats) -> Interval:
    """The interval of a difference of paired proportions, after - before, over the same clusters.

    Newcombe's hybrid score interval (1998, method 10) with both Wilson intervals on their effective sizes, and the
    correlation of the two taken over clusters.
    """
    kept = (before[:, 1] > 0) & (after[:, 1] > 0)
    before, after = before[kept], after[kept]
    if len(before) == 0:
        return Interval(math.nan, math.nan)
    return difference(share(after), wilson(after), share(before), wilson(before), correlation(before, after))


def share(sums: Floats) -> float:
    """Hits over items of all clusters."""
    return float(sums[:, 0].sum() / sums[:, 1].sum())


def correlation(first: Floats, second: Floats) -> float:
    """Of two shares over the same clusters; 0 where one of them does not vary."""
    return together(residuals(first), residuals(second))


def difference(first: float, of_first: Interval, second: float, of_second: Interval, phi: float) -> Interval:
    """The interval of first - second from the interval of each and their correlation.

    Square-and-add, of which Newcombe's method 10 is the case of two proportions (Zou & Donner 2008: MOVER).
    """

    def reach(up: float, down: float) -> float:
        return math.sqrt(max(0.0, up * up - 2 * phi * up * down + down * down))

    return Interval(
        first - second - reach(first - of_first.low, of_second.high - second),
        first - second + reach(of_first.high - first, second - of_second.low),
    )


def quotient(first: float, of_first: Interval, second: float, of_second: Interval, phi: float) -> Interval:
    """The interval of first / second from the interval of each and their correlation.

    The ratios R for which the interval of first - R * second holds 0 (MOVER-R: Donner & Zou 2012). Unlike resampled
    ratios it has width where one of the two is 0 of n. nan where `of_second` is not wholly above 0.
    """
    ends = (first, of_first.low, of_first.high, second, of_second.low, of_second.high)
    if any(math.isnan(end) for end in ends) or of_second.low <= 0:
        return Interval(math.nan, math.nan)
    low = _least_ratio(first, of_first.low, second, of_second, phi)
    high = -_least_ratio(-first, -of_first.high, second, of_second, -phi)
    return Interval(low + 0.0, high + 0.0)


def _least_ratio(first: float, low: float, second: float, of_second: Interval, phi: float) -> float:
    """The R at which the lower end for first - R * second is 0: a quadratic, of whose roots it is the smaller."""
    reach = first - low
    other = of_second.high - second if low >= 0 else second - of_second.low
    square, middle, rest = (second**2 - other**2, first * second - phi * reach * other, first**2 - reach**2)
    root = math.sqrt(max(0.0, middle**2 - square * rest))
    if low >= 0:  # this form also holds where the square's factor is 0 or below
        return rest / (middle + root) if middle + root > 0 else 0.0
    return (middle - root) / square


def residuals(sums: Floats) -> Floats:
    """Each cluster's hits less what the overall share lets expect of it."""
    return np.asarray(sums[:, 0] - share(sums) * sums[:, 1])


def together(first: Floats, second: Floats) -> float:
    """The correlation of two lists of deviations; 0 where one has none."""
    scale = math.sqrt(float(first @ first) * float(second @ second))
    return float(first @ second) / scale if scale > 0 else 0.0


def _effective(sums: Floats) -> tuple[float, float]:
    """The share of hits, and the size of a simple random sample that would know it as well.

    The design effect is taken twice, as it is and with one more cluster that is half right, and the smaller size
    counts: near 0 or 1 a handful of clusters holds all there is to see of it, and the plain estimate is too
    hopeful (bench/coverage.py: 92% instead of 95% for differences at 0.95 over 20 clusters).
    """
    found = share(sums)
    if len(sums) < 2:
        return found, 1.0
    if not 0 < found < 1:
        return found, _size(sums)
    typical = float(sums[:, 1].mean())
    return found, min(_size(sums), _size(np.vstack([sums, [typical / 2, typical]])))


def _size(sums: Floats) -> float:
    clusters, items = len(sums), float(sums[:, 1].sum())
    hits, left = share(sums), residuals(sums)
    variance = clusters / (clusters - 1) * float(left @ left) / items**2
    size = min(items, hits * (1 - hits) / variance if variance > 0 else float(clusters))
    z = normal_quantile((1 + CONFIDENCE) / 2)
    t = student_quantile(clusters - 1, (1 + CONFIDENCE) / 2)
    return max(1.0, size * (z / t) ** 2)


def _wilson_ends(share: float, size: float) -> tuple[float, float]:
    z = normal_quantile((1 + CONFIDENCE) / 2)
    centre = (share + z * z / (2 * size)) / (1 + z * z / size)
    half = z / (1 + z * z / size) * math.sqrt(share * (1 - share) / size + z * z / (4 * size * size))
    return (0.0 if share == 0 else max(0.0, centre - half)), (1.0 if share == 1 else min(1.0, centre + half))


def warnings(items: int, clusters: int) -> list[str]:
    """What to say about a sample too small for its intervals to be trusted."""
    found = []
    if items < FEW_ITEMS:
        found.append(
            f"{items} prompts, fewer than {FEW_ITEMS}: differences below the smallest detectable one stay hidden"
        )
    if clusters < FEW_CLUSTERS:
        found.append(f"{clusters} clusters, fewer than {FEW_CLUSTERS}: the intervals may be too narrow")
    return found


def interval(scores: Scores, sums: Floats, values: Floats, fewest: int | None = None) -> Interval:
    """The 95% interval of one metric under one model, from its sums within clusters and its resampled values.

    `fewest` is the clusters of the smallest stratum, if there are strata: its are the ones that are known least. A
    mean of which every item is 0, or 1, has the interval that a share would have: of scores between 0 and 1 with a
    given mean, those that are only 0 and 1 vary most.
    """
    if scores.proportion or scores.at_bound:
        return wilson(sums)
    counted = int((sums != 0).any(axis=1).sum())
    return percentiles(values, counted if fewest is None else fewest)
