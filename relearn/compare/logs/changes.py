"""The figures: every metric of every task, group and the total, before and after, with intervals and exact tests."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import bdtr
from scipy.special import ndtri as normal_quantile

from relearn.errors import InputError
from relearn.logs.pairs import Paired, Series
from relearn.statistics import gates, resampling, significance
from relearn.statistics.resampling import CONFIDENCE, Interval
from relearn.statistics.scores import Floats, ratio

LEVEL = 1 - CONFIDENCE
RESAMPLES, SWAPS = 10_000, 10_000
CELLS = 200_000  # counts drawn for one interval, beyond the fewest resamples
FEWEST, MANY = 1_000, 20_000  # resamples, and kinds of clusters above which a normal approximation replaces them
TOTAL = "total"
ROUNDING = 1e-12


@dataclass(frozen=True)
class MetricChange:
    """One metric of one task from one model to the next. `difference` is after - before, whichever way is better."""

    kind: str  # task, group or total
    task: str
    metric: str
    better: str
    primary: bool  # a task's named metric, which Holm's correction runs over; a group's and the total's one figure
    samples: int
    clusters: int
    before: float
    after: float
    difference: float
    low: float
    high: float
    exact_ends: bool  # of the interval that a gate uses, where resampling sees no spread
    error_before: float  # standard errors of the means, each sample alone
    error_after: float
    worse: int  # samples
    better_samples: int
    test: str
    p: float  # exact, every sample alone
    p_clusters: float  # that swaps clusters; nan where each sample is one
    p_holm: float
    detectable: float
    prompts_differ: int
    settings_differ: str
    rounding: int  # changes so small that they may be rounding of equal means

    @property
    def p_shown(self) -> float:
        return self.p if math.isnan(self.p_clusters) else self.p_clusters

    @property
    def direction(self) -> int:
        """1 where the change is for the better, -1 for the worse."""
        return int(np.sign(self.difference)) * (1 if self.better == "higher" else -1)

    @property
    def changed(self) -> bool:
        """Beyond chance: of a task's named metric after Holm's correction."""
        return self._significant and self.direction != 0 and not self.mixed

    @property
    def mixed(self) -> bool:
        """Beyond chance, but the sign test counts samples, and the mean went the other way: neither better nor worse."""
        counted = np.sign(self.better_samples - self.worse) if math.isnan(self.p_clusters) else self.direction
        return self._significant and counted * self.direction < 0

    @property
    def differ(self) -> str:
        """What differs between the runs, so that a change of scores is not one of the model; empty where nothing does."""
        return " and ".join(["prompts"] * (self.prompts_differ > 0) + ["settings"] * bool(self.settings_differ))

    @property
    def _significant(self) -> bool:
        p = self.p_holm if self.kind == "task" and self.primary else self.p_shown
        return p <= LEVEL and not self.differ


def add_groups(paired: Paired, primary: dict[str, str]) -> list[Series]:
    """The groups that the logs name and the total: all samples of their tasks, on the metric that most of them name."""
    found = []
    groups = {
        name: members for name, members in paired.groups.items() if any(one.task in members for one in paired.series)
    }
    if TOTAL in {*paired.one_sided, *groups}:
        paired.notes.append(f"a task or group is named {TOTAL}, so no total of all tasks is given")
    elif len(primary) > 1:
        groups[TOTAL] = list(paired.one_sided)
    for name, members in groups.items():
        metric = Counter(primary[task] for task in members if task in primary).most_common(1)[0][0]
        if series := pool(name, metric, [one for one in paired.series if one.task in members]):
            missing = why_missing({key: why for key, why in paired.skipped.items() if key[0] in members}, metric)
            found.append(replace(series, missing=missing))
    return found


def why_missing(skipped: Mapping[tuple[str, str], str], metric: str) -> str:
    """The first task whose scores of a metric cannot be compared, and why; empty where there is none."""
    lost = [f"{task} has no {metric} to compare: {why}" for (task, name), why in skipped.items() if name == metric]
    return lost[0] + (f" (and {len(lost) - 1} more tasks)" if len(lost) > 1 else "") if lost else ""


def pool(name: str, metric: str, series: Sequence[Series]) -> Series | None:
    """The samples of several tasks as one series of a metric; None for fewer than two tasks that have it."""
    parts = [one for one in series if one.metric == metric]
    if len(parts) < 2 or len({(one.better, one.exponential) for one in parts}) > 1:
        return None

    def joined(key: str) -> Any:
        return np.concatenate([getattr(one, key) for one in parts])

    return replace(
        parts[0],
        task=name,
        before=joined("before"),
        after=joined("after"),
        weights=joined("weights"),
        clusters=joined("clusters"),
        binary=all(one.binary for one in parts),
        prompts_differ=sum(one.prompts_differ for one in parts),
        settings_differ=tuple(dict.fromkeys(key for one in parts for key in one.settings_differ)),
        ids=[],
        members=tuple(one.task for one in parts),
        sizes=tuple(len(one.before) for one in parts),
    )


def name_metrics(series: Sequence[Series], asked: Sequence[str]) -> dict[str, str]:
    """The one metric of each task that Holm's correction runs over: the one asked for (METRIC or TASK.METRIC), else its first.

    InputError for one that no task has.
    """
    found: dict[str, str] = {}
    for one in series:
        found.setdefault(one.task, one.metric)
    for name in asked:
        named = [one for one in series if name in (one.metric, f"{one.task}.{one.metric}")]
        if not named:
            known = sorted({one.metric for one in series})
            raise InputError(f"--metric {name}: no task has it; there are {', '.join(known)}")
        found |= {one.task: one.metric for one in named}
    return found


def measure(series: Series, kind: str, primary: bool, seed: int) -> MetricChange:
    """The figures of one series; Holm's correction comes later, over all."""
    weights, clusters = series.weights, np.unique(series.clusters, return_inverse=True)[1]
    number = int(clusters.max()) + 1
    sums = resampling.cluster_sums(
        np.stack([weights * series.before, weights * series.after, weights], axis=1), clusters, number
    )
    before, after = (_figure(sums.sum(axis=0)[[side, 2]], series.exponential) for side in (0, 1))
    steps = (series.after - series.before) * (1 if series.better == "higher" else -1)
    up, down = int((steps > 0).sum()), int((steps < 0).sum())
    rounding = int(((steps != 0) & (np.abs(steps) <= ROUNDING)).sum())
    low, high, detectable = _interval(sums, series.exponential, after - before, seed)
    exact = not high > low
    if exact:
        ends = loss_interval(series)
        sign = -1 if series.better == "higher" else 1
        low, high = sorted((sign * ends.low, sign * ends.high))
        if not math.isnan(low):
            detectable = significance.detectable_by(Interval(low, high))
    grouped = math.nan
    if number < len(steps):
        tested = (sums[:, [0, 2]], sums[:, [1, 2]], lambda found: _figures(found, series.exponential))
        swaps = int(min(SWAPS, max(FEWEST, 200_000_000 // number)))
        grouped = significance.randomisation(*tested, swaps, seed)
    return MetricChange(
        kind=kind,
        task=series.task,
        metric=series.metric,
        better=series.better,
        primary=primary,
        samples=len(steps),
        clusters=number,
        before=before,
        after=after,
        difference=after - before,
        low=low,
        high=high,
        exact_ends=exact,
        error_before=_error(series.before, series.sizes),
        error_after=_error(series.after, series.sizes),
        worse=down,
        better_samples=up,
        test="McNemar" if series.binary else "sign",
        p=min(1.0, 2 * float(bdtr(min(up, down), up + down, 0.5))) if up + down else 1.0,
        p_clusters=grouped,
        p_holm=math.nan,
        detectable=detectable,
        prompts_differ=series.prompts_differ,
        settings_differ=", ".join(series.settings_differ),
        rounding=rounding,
    )


def _figures(sums: Floats, exponential: bool) -> Floats:
    with np.errstate(over="ignore"):
        found = ratio(sums)
        return np.exp(found) if exponential else found


def _figure(sums: Floats, exponential: bool) -> float:
    return float(_figures(sums, exponential))


def _error(values: Floats, sizes: Sequence[int]) -> float:
    """The standard error of a mean, with the variance within the tasks (lm-evaluation-harness has it so for groups)."""
    parts = np.split(values, np.cumsum(sizes)[:-1]) if sizes else [values]
    free = len(values) - len(parts)
    return (
        math.sqrt(sum(float(part.var()) * len(part) for part in parts) / free / len(values)) if free > 0 else math.nan
    )


def _interval(sums: Floats, exponential: bool, difference: float, seed: int) -> tuple[float, float, float]:
    """The 95% percentile interval over clusters, and the smallest difference that would have been seen.

    Equal clusters are drawn together, so that a million right or wrong samples cost as little as ten.
    """
    kinds, counts = np.unique(sums, axis=0, return_counts=True)
    clusters = int(counts.sum())
    if len(kinds) > MANY:
        base = sums[:, 2].sum()
        parts = [(sums[:, side] - sums[:, side].sum() / base * sums[:, 2]) / base for side in (0, 1)]
        slope = [_figure(sums.sum(axis=0)[[side, 2]], exponential) if exponential else 1.0 for side in (0, 1)]
        error = float(np.sqrt(((slope[1] * parts[1] - slope[0] * parts[0]) ** 2).sum()))
        drawn = np.random.default_rng(seed).normal(difference, error, size=FEWEST)
        reach = float(normal_quantile(1 - LEVEL / 2)) * error
        return difference - reach, difference + reach, significance.minimum_detectable(drawn)
    resamples = int(min(RESAMPLES, max(FEWEST, CELLS // len(kinds))))
    generator = np.random.default_rng(seed)
    differences = np.empty(resamples)
    for rows in resampling.blocks(resamples, len(kinds)):
        found = generator.multinomial(clusters, counts / clusters, size=rows.stop - rows.start) @ kinds
        differences[rows] = _figures(found[:, [1, 2]], exponential) - _figures(found[:, [0, 2]], exponential)
    low, high = np.quantile(differences, [LEVEL / 2, 1 - LEVEL / 2])
    if high - low <= 1e-12:
        return float(low), float(low), math.nan
    return float(low), float(high), significance.minimum_detectable(differences)


def sum_losses(series: Series) -> gates.Losses:
    """The series as `gates` takes it: sums within clusters, and the range of what one sample can lose."""
    clusters = np.unique(series.clusters, return_inverse=True)[1]
    columns = np.stack([series.weights * series.before, series.weights * series.after, series.weights], axis=1)
    before, after, sizes = resampling.cluster_sums(columns, clusters, int(clusters.max()) + 1).T
    values = np.concatenate([series.before, series.after])
    least, most = float(values.min()), float(values.max())
    if least >= 0 and most <= 1:
        least, most = 0.0, 1.0
    return gates.Losses(before, after, sizes, 1 if series.better == "higher" else -1, most - least, least)


def loss_interval(series: Series) -> Interval:
    """The interval of the loss that gates use; nan where the range of scores is not known (all are the same number)."""
    losses = sum_losses(series)
    if losses.span <= 0 or series.exponential:
        return Interval(math.nan, math.nan)
    return gates.loss_ends(losses)


def measure_all(paired: Paired, asked: Sequence[str], seed: int) -> tuple[list[MetricChange], list[Series]]:
    """Every task's metrics, then groups and the total, with Holm's correction over the tasks' named metrics."""
    primary = name_metrics(paired.series, asked)
    pooled = add_groups(paired, primary)
    found = [measure(one, "task", one.metric == primary[one.task], seed) for one in paired.series]
    found += [measure(one, TOTAL if one.task == TOTAL else "group", True, seed) for one in pooled]
    family = [index for index, one in enumerate(found) if one.kind == "task" and one.primary]
    adjusted = significance.holm([found[index].p_shown for index in family])
    for index, p in zip(family, adjusted, strict=True):
        found[index] = replace(found[index], p_holm=p)
    return found, [*paired.series, *pooled]
