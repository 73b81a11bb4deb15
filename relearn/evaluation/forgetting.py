"""Forgetting, recovery and backward transfer between the models, with intervals, tests and flips.

R is a score turned so that higher is better (bits per byte negated). Forgetting = R[base] - R[tuned] (relative:
over R[base]; Luo et al. 2023); recovery = (R[replayed] - R[tuned]) / (R[base] - R[tuned]), only where forgetting's
interval lies above 0; backward transfer = R[replayed] - R[tuned] on a new task (Lopez-Paz & Ranzato 2017).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from relearn.evaluation.roles import ModelRoles
from relearn.evaluation.tasks import TaskScores
from relearn.statistics import resampling, significance
from relearn.statistics.resampling import Interval
from relearn.statistics.scores import Floats


@dataclass
class Comparison:
    """One metric of one task, `after` against `before`.

    kind `forgetting`: `value` = R[before] - R[after], `ratio` the relative loss. kind `recovery`: `value` =
    R[after] - R[before], `ratio` the recovered share of what was lost (nan where undefined). `low` and `high` are the
    95% interval of `value`; `p` is the randomisation test's, `p_holm` after Holm's correction; `detectable` the
    smallest difference this sample would have shown. `better`: whether `after` is the better one; None where neither
    way is (code in a poem): `value` is then just the change, and there is no recovered share.
    """

    kind: Literal["forgetting", "recovery"]
    metric: str
    before: str
    after: str
    value: float
    low: float
    high: float
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    p: float
    p_holm: float
    detectable: float
    better: bool | None

    def plain(self) -> dict[str, Any]:
        return asdict(self)


class Rounds:
    """The scores of the models on one task, resampled together."""

    def __init__(
        self,
        scored: Mapping[str, TaskScores],
        roles: ModelRoles,
        resamples: int,
        seed: int,
        swaps: int = 0,
        strata: Sequence[str] | None = None,
    ) -> None:
        """`swaps` of the tests (none without comparisons). `strata` names each item's stratum, of which every resample
        takes as many clusters as there are; items of a stratum are adjacent."""
        self.scored = dict(scored)
        self.roles = roles
        self.steps = [(before, after) for before, after in roles.steps if before in scored and after in scored]
        first = scored[roles.base]
        self.ids = first.ids
        self.numbers, self.clusters = resampling.number_clusters(first.groups)
        self.swaps, self.seed = swaps, seed
        sizes = self._sizes(strata or [""] * len(self.ids))
        self.fewest = None if strata is None else min(sizes)
        self.drawn = resampling.draw_within(sizes, resamples, seed)
        self.names = [
            name
            for name in first.scores
            if all(name in task.scores and task.scores[name].items for task in scored.values())
        ]
        # What is drawn from again and again, by model and metric.
        self._sums: dict[tuple[str, str], Floats] = {}
        self._values: dict[tuple[str, str], Floats] = {}
        self._intervals: dict[tuple[str, str], Interval] = {}
        self._p: dict[tuple[str, str], dict[str, float]] = {}  # by two models, then by metric

    def _sizes(self, strata: Sequence[str]) -> list[int]:
        """Clusters of each stratum, in order of appearance."""
        of_cluster = dict(zip(self.numbers.tolist(), strata, strict=True))
        return list(Counter(of_cluster[number] for number in range(self.clusters)).values())

    def sums(self, model: str, name: str) -> Floats:
        """The statistics of one score, summed within clusters."""
        key = (model, name)
        if key not in self._sums:
            stats = self.scored[model].scores[name].stats
            self._sums[key] = resampling.cluster_sums(stats, self.numbers, self.clusters)
        return self._sums[key]

    def values(self, model: str, name: str) -> Floats:
        """One score in every resample."""
        key = (model, name)
        if key not in self._values:
            combine = self.scored[model].scores[name].combine
            self._values[key] = resampling.resampled(self.sums(model, name), combine, self.drawn)
        return self._values[key]

    def interval(self, model: str, name: str) -> Interval:
        """The 95% interval of one score."""
        key = (model, name)
        if key not in self._intervals:
            self._intervals[key] = resampling.interval(
                self.scored[model].scores[name], self.sums(model, name), self.values(model, name), self.fewest
            )
        return self._intervals[key]

    def resampled(self, model: str, name: str) -> Floats:
        """R of every resample: turned so that higher is better."""
        return self.scored[model].scores[name].sign * self.values(model, name)

    def compare(self, name: str) -> list[Comparison]:
        """Forgetting from base to the tuned and the other models, and recovery from tuned to replayed."""
        found: list[Comparison] = []
        for before, after in self.steps:
            if before == self.roles.base:
                found.append(self._compare(name, "forgetting", before, after))
            else:  # what the tuned model lost is the first of `found`
                found.append(self._compare(name, "recovery", before, after, found[0]))
        return found

    def _compare(
        self,
        name: str,
        kind: Literal["forgetting", "recovery"],
        before: str,
        after: str,
        lost: Comparison | None = None,
    ) -> Comparison:
        first, second = self.scored[before].scores[name], self.scored[after].scores[name]
        turn = -1.0 if kind == "forgetting" else 1.0
        gain = first.sign * (second.point - first.point)
        gains = self.resampled(after, name) - self.resampled(before, name)
        value = turn * gain
        shares = first.proportion or first.at_bound or second.at_bound
        if shares:
            ends = self._difference(name, after, before)
            low, high = sorted((turn * first.sign * ends.low, turn * first.sign * ends.high))
        else:
            ends = resampling.percentiles(turn * gains, self.clusters)
            low, high = ends.low, ends.high
        ratio, ratio_ends = math.nan, Interval(math.nan, math.nan)
        if first.better == "neither":
            pass
        elif kind == "forgetting" and first.point:
            ratio = value / abs(first.point)
            if shares:
                kept = self._quotient(name, before, after)
                ratio_ends = Interval(*sorted((first.sign * (1 - kept.low), first.sign * (1 - kept.high))))
            else:
                # A resample in which base scores nothing has no relative loss.
                scale = np.abs(self.resampled(before, name))
                with np.errstate(divide="ignore", invalid="ignore"):
                    ratio_ends = resampling.percentiles(np.where(scale > 0, -gains / scale, np.nan), self.clusters)
        elif lost is not None and lost.low > 0:
            base = self.roles.base
            ratio = gain / lost.value
            if shares or self.scored[base].scores[name].at_bound:
                ratio_ends = self._recovered(name, after, Interval(low, high), lost)
            else:
                losses = self.resampled(base, name) - self.resampled(before, name)
                with np.errstate(divide="ignore", invalid="ignore"):
                    ratio_ends = resampling.percentiles(np.where(losses > 0, gains / losses, np.nan), self.clusters)
        return Comparison(
            kind=kind,
            metric=name,
            before=before,
            after=after,
            value=value,
            low=low,
            high=high,
            ratio=ratio,
            ratio_low=ratio_ends.low,
            ratio_high=ratio_ends.high,
            p=self.p(name, before, after),
            p_holm=math.nan,
            detectable=(
                significance.detectable_by(Interval(low, high)) if shares else significance.minimum_detectable(gains)
            ),
            better=None if first.better == "neither" else gain > 0,
        )

    def p(self, name: str, before: str, after: str) -> float:
        """Of the randomisation test between two models; those of all metrics are found at the first call."""
        if (before, after) not in self._p:
            tests = [
                (self.sums(before, each), self.sums(after, each), self.scored[before].scores[each].combine)
                for each in self.names
            ]
            found = significance.randomisations(tests, self.swaps, self.seed)
            self._p[before, after] = dict(zip(self.names, found, strict=True))
        return self._p[before, after][name]

    def _difference(self, name: str, first: str, second: str) -> Interval:
        """Of first - second, where one of them at least has a share's interval."""
        one, two = self.scored[first].scores[name], self.scored[second].scores[name]
        if one.proportion:
            return resampling.newcombe(self.sums(second, name), self.sums(first, name))
        return resampling.difference(one.point, self.interval(first, name), two.point, self.interval(second, name), 0.0)

    def _quotient(self, name: str, before: str, after: str) -> Interval:
        """Of after / before, where one of them at least has a share's interval."""
        old, new = self.scored[before].scores[name], self.scored[after].scores[name]
        phi = resampling.correlation(self.sums(after, name), self.sums(before, name)) if old.proportion else 0.0
        return resampling.quotient(new.point, self.interval(after, name), old.point, self.interval(before, name), phi)

    def _recovered(self, name: str, replayed: str, gain: Interval, lost: Comparison) -> Interval:
        """Of what came back over what was lost: their intervals, and how they go together over clusters."""
        base, tuned = lost.before, lost.after
        left = {model: resampling.residuals(self.sums(model, name)) for model in (base, tuned, replayed)}
        phi = resampling.together(left[replayed] - left[tuned], left[base] - left[tuned])
        one, two = self.scored[tuned].scores[name], self.scored[replayed].scores[name]
        return resampling.quotient(two.point - one.point, gain, lost.value, Interval(lost.low, lost.high), phi)

    def flips(self) -> dict[str, dict[str, dict[str, int]]]:
        """For every metric that is right or wrong an item: how many went each way, model by model."""
        found: dict[str, dict[str, dict[str, int]]] = {}
        for name in self.names:
            if not self.scored[self.roles.base].scores[name].proportion:
                continue
            for before, after in self.steps:
                first, second = (self.scored[model].scores[name].each() for model in (before, after))
                found.setdefault(name, {})[f"{before} to {after}"] = {
                    "lost": int(((first == 1) & (second == 0)).sum()),
                    "gained": int(((first == 0) & (second == 1)).sum()),
                    "kept": int(((first == 1) & (second == 1)).sum()),
                }
        return found
