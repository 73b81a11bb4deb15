"""Two sides become pairs: by task and id, never where the document differs, and everything that does not fit is
reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations

import numpy as np
import numpy.typing as npt

from relearn.errors import InputError
from relearn.logs.table import Column, Counts, Floats, SampleTable, Side, count, listed

# Settings that change no answer for the better or worse; of unequal epochs, as many count on each side.
HARMLESS = {
    "epochs", "seed", "max_retries", "timeout", "attempt_timeout", "adaptive_connections", "batch", "cache", "cache_prompt",
    "logprobs", "top_logprobs", "prompt_logprobs",
}  # fmt: skip
CAUSES = 6  # that a message names
OVERFLOW = 700  # what exp can still take


@dataclass
class Series:
    """One metric of one task (or group) over the pairs: each sample's score before and after, epochs averaged.

    A score counts `weight` times; the figure is their mean, or exp of it (`exponential`). `clusters` numbers what
    belongs together, over all tasks alike.
    """

    task: str
    metric: str
    before: Floats
    after: Floats
    weights: Floats
    clusters: npt.NDArray[np.int64]
    better: str = "higher"
    exponential: bool = False
    binary: bool = False  # each score is one epoch's 0 or 1
    prompts_differ: int = 0
    ids: list[str] = field(default_factory=list)
    members: tuple[str, ...] = ()  # of a group or the total: its tasks, and the samples of each
    sizes: tuple[int, ...] = ()
    settings_differ: tuple[str, ...] = ()
    missing: str = ""  # a task whose scores cannot be compared, which a gate on this would pass over


@dataclass
class Paired:
    """All series of two sides, and what a reader must know of how they were paired."""

    series: list[Series]
    groups: dict[str, list[str]]
    one_sided: dict[str, dict[str, int]]  # task: {base: samples only there, tuned: …, other document: …}
    skipped: dict[tuple[str, str], str]  # (task, metric) that no pair has a score of: why
    notes: list[str]


def pair(base: Side, tuned: Side, cluster: str | None, other_prompts: bool, lower: Sequence[str] = ()) -> Paired:
    """Pairs two sides. InputError where no task is in both, or no sample."""
    for side in (base, tuned):
        if not side.tables:
            raise InputError(f"{side.name}: holds no samples")
    both = [task for task in base.tables if task in tuned.tables]
    if not both:
        raise InputError(
            f"{base.name} and {tuned.name} have no task in common ({listed(list(base.tables))}; {listed(list(tuned.tables))})"
        )
    found = Paired([], {}, {}, {}, [])
    for one, other in ((base, tuned), (tuned, base)):
        if alone := [task for task in one.tables if task not in other.tables]:
            found.notes.append(f"tasks only in {one.role}: {listed(alone)}")
    for side in (base, tuned):
        for run in side.runs:
            for key, why in run.skipped.items():
                if key[0] in both:
                    found.skipped.setdefault(key, f"{why} (in {side.role})")
    fresh = _fresh_numbers(both, base, tuned)
    for task in both:
        found.series += _pair_task(task, base, tuned, fresh[task], cluster, found)
    judged = (
        ""
        if other_prompts
        else ": a difference in scores is not forgetting, and no gate judges it "
        "(--allow-other-prompts if the models need different ones)"
    )
    if not found.series:
        causes = [*found.notes, *(f"{task} {metric}: {why}" for (task, metric), why in found.skipped.items())]
        causes += [*base.notes, *tuned.notes]
        raise InputError(
            f"{base.name} and {tuned.name}: no sample of a task is in both with the same document and a score"
            + (f" ({'; '.join(causes[:CAUSES])}{'; …' if causes[CAUSES:] else ''})" if causes else "")
        )
    for each in found.series:  # some of its samples have no number, which a note says
        found.skipped.pop((each.task, each.metric), None)
    for name in lower:
        named = [each for each in found.series if name in (each.metric, f"{each.task}.{each.metric}")]
        if not named:
            raise InputError(f"--lower-is-better {name}: no task has it")
        for series in named:
            series.better = "lower"
    for series in found.series:
        if series.better == "higher":
            _check_scale(f"{series.task} {series.metric}", {base.role: series.before, tuned.role: series.after})
    for run in [*base.runs, *tuned.runs]:
        for group in run.groups:
            members = _expand(group, run.groups, set())
            kept = [task for task in members if task in both]
            if kept and group not in both and group not in found.groups:
                found.groups[group] = kept
                if len(kept) < len(members):
                    found.notes.append(f"group {group}: {len(kept)} of its {len(members)} tasks are here")
    for task, series in {each.task: each for each in found.series}.items():
        if series.prompts_differ:
            found.notes.append(
                f"{task}: the prompts of {series.prompts_differ} of {len(series.before)} pairs DIFFER between the two runs"
                + judged
            )
        if series.settings_differ:
            found.notes.append(f"{task}: {', '.join(series.settings_differ)} DIFFER between the two runs{judged}")
    return found


def _expand(group: str, groups: Mapping[str, list[str]], above: set[str]) -> list[str]:
    """The tasks of a group, whose members may be groups."""
    above.add(group)
    found: dict[str, None] = {}
    for member in groups[group]:
        if member not in groups:
            found[member] = None
        elif member not in above:
            found |= dict.fromkeys(_expand(member, groups, above))
    return list(found)


def _fresh_numbers(tasks: Iterable[str], base: Side, tuned: Side) -> dict[str, int]:
    """Where each task's numbers of clusters of one sample begin: above all named ones."""
    named = (
        max((max(table.clusters, default=-1) for side in (base, tuned) for table in side.tables.values()), default=-1)
        + 1
    )
    starts = {}
    for task in tasks:
        starts[task] = named
        named += len(base.tables[task].ids)
    return starts


def _check_settings(task: str, base: Side, tuned: Side, found: Paired) -> tuple[str, ...]:
    """The settings that differ and can change what a model answers; a note names all that differ."""
    first, second = (side.tables[task].run for side in (base, tuned))
    one, two = first.settings.get(task, {}), second.settings.get(task, {})
    if not one or not two:
        return ()
    differ = [key for key in dict.fromkeys([*one, *two]) if _set(one.get(key)) != _set(two.get(key))]
    for key in differ:
        found.notes.append(f"{task}: {key} differs: {one.get(key)} in {base.role}, {two.get(key)} in {tuned.role}")
    return tuple(key for key in differ if key not in HARMLESS)


def _set(value: object) -> object:
    """Some versions of a tool write an empty value where others write none."""
    return None if value in ("", {}, []) else value


@dataclass
class Match:
    """Rows of one task's two tables that are one sample with one document: `left[i]` in base is `right[i]` in tuned."""

    names: list[str]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    clusters: npt.NDArray[np.int64]
    prompts_differ: npt.NDArray[np.bool_]

    def ids(self, kept: npt.NDArray[np.bool_]) -> list[str]:
        return [self.names[index] for index in self.left[kept]]


def _pair_task(task: str, base: Side, tuned: Side, fresh: int, cluster: str | None, found: Paired) -> list[Series]:
    before, after = base.tables[task], tuned.tables[task]
    match = _match(task, base, tuned, fresh, cluster, found)
    said: dict[str, list[str]] = {}  # what there is to say: of which metrics
    series = []
    for metric in before.columns:
        if metric not in after.columns:
            found.skipped.setdefault((task, metric), f"no usable score in {tuned.role}")
        elif (one := _pair_metric(task, metric, before, after, match, said)) is None:
            found.skipped.setdefault((task, metric), "no pair has a score on both sides")
        elif (
            one.exponential
            and max(np.average(side, weights=one.weights) for side in (one.before, one.after)) > OVERFLOW
        ):
            found.skipped.setdefault((task, metric), "the perplexity is too large a number")
        else:
            series.append(one)
    settings = _check_settings(task, base, tuned, found)
    for one in series:
        one.settings_differ = settings
    found.notes += [f"{task} {', '.join(metrics)}: {what}" for what, metrics in said.items()]
    for metric in after.columns:
        if metric not in before.columns:
            found.skipped.setdefault((task, metric), f"no usable score in {base.role}")
    return series


def _match(task: str, base: Side, tuned: Side, fresh: int, cluster: str | None, found: Paired) -> Match:
    before, after = base.tables[task], tuned.tables[task]
    names = list(before.ids)
    left = np.arange(len(names))
    right = np.fromiter((after.ids.get(name, -1) for name in names), dtype=np.int64, count=len(names))
    only = {
        base.role: [names[index] for index in left[right < 0]],
        tuned.role: [name for name in after.ids if name not in before.ids],
    }
    left, right = left[right >= 0], right[right >= 0]
    one, two = _numbers(before.documents)[left], _numbers(after.documents)[right]
    same = (one == two) | (one == 0) | (two == 0)
    changed = [names[index] for index in left[~same]]
    found.one_sided[task] = {role: len(ids) for role, ids in only.items()} | {"other document": len(changed)}
    for role, ids in only.items():
        if ids:
            found.notes.append(f"{task}: {count(len(ids), 'sample')} only in {role}: {listed(ids)}")
    if changed:
        found.notes.append(
            f"{task}: {count(len(changed), 'sample')} not paired because the document differs: {listed(changed)}"
        )
    if len(left) and not (one != 0).any():
        found.notes.append(f"{task}: no documents in the log; equal ids are taken to be the same question")
    left, right = left[same], right[same]
    one, two = _numbers(before.prompts)[left], _numbers(after.prompts)[right]
    clusters = _clusters(task, before, left, fresh, cluster, found)
    return Match(names, left, right, clusters, (one != two) & (one != 0) & (two != 0))


def _pair_metric(
    task: str, metric: str, before: SampleTable, after: SampleTable, match: Match, said: dict[str, list[str]]
) -> Series | None:
    one, two = before.columns[metric], after.columns[metric]
    epochs, again = one.means(len(before.ids))[1][match.left], two.means(len(after.ids))[1][match.right]
    # The mean of four answers is no pair of one answer: the same model would seem to gain or lose.
    fewest = np.minimum(epochs, again)
    old, new = _first(one, len(before.ids), match.left, fewest), _first(two, len(after.ids), match.right, fewest)
    weights, others = one.weighed(len(before.ids))[match.left], two.weighed(len(after.ids))[match.right]
    scored = ~np.isnan(old) & ~np.isnan(new)
    kept = scored & (weights == others)
    if not kept.any():
        return None
    better = before.run.better.get((task, metric)), after.run.better.get((task, metric))
    if all(better) and better[0] != better[1]:
        raise InputError(f"{task} {metric}: {better[0]} is better in one log, {better[1]} in the other")
    for wrong, what in (
        (~scored, "no score on one side"),
        (scored & ~kept, "another length on one side, left out"),
        (kept & (epochs != again), "fewer epochs on one side; as many are taken of the other"),
    ):
        if wrong.any():
            said.setdefault(f"{count(int(wrong.sum()), 'sample')} with {what}: {listed(match.ids(wrong))}", []).append(
                metric
            )
    if not any(better):
        said.setdefault(
            "no log says which way is better; assuming higher (--lower-is-better METRIC says otherwise)", []
        ).append(metric)
    whole = (fewest[kept] == 1) & np.isin(old[kept], (0, 1)) & np.isin(new[kept], (0, 1))
    return Series(
        task,
        metric,
        old[kept],
        new[kept],
        weights[kept],
        match.clusters[kept],
        better[0] or better[1] or "higher",
        (task, metric) in before.run.exponential,
        bool(whole.all()),
        int(match.prompts_differ[kept].sum()),
        match.ids(kept),
    )


def _check_scale(name: str, sides: dict[str, Floats]) -> None:
    """InputError where one side has fractions and the other percentages: there, any score is a huge gain or loss."""
    for (role, small), (other, large) in permutations(sides.items(), 2):
        top = float(large.max())
        # Not small counts (0 or 1 calls of a tool, and then 12), and not a base of 0% or 0.3%.
        fractions = small.min() >= 0 and 0.5 < small.max() <= 1
        percentages = large.min() >= 0 and (top == 100 or (10 < top < 100 and (small % 1 > 0).any()))
        if fractions and percentages:
            raise InputError(
                f"{name}: the scale differs: no score of {role} is above 1, but one of {other} is {top:g}; write both as fractions or "
                "both as percentages"
            )


def _first(column: Column, samples: int, rows: Counts, epochs: Counts) -> Floats:
    """The means of these rows over as many epochs of each."""
    most = np.zeros(samples, dtype=np.int64)
    most[rows] = epochs
    return column.means(samples, most)[0][rows]


def _numbers(column: object) -> npt.NDArray[np.int64]:
    return np.frombuffer(column, dtype=np.int64)  # type: ignore[call-overload,no-any-return]


def _clusters(
    task: str, table: SampleTable, left: npt.NDArray[np.int64], fresh: int, cluster: str | None, found: Paired
) -> npt.NDArray[np.int64]:
    named = _numbers(table.clusters)[left]
    without = named < 0
    if cluster is not None and without.any():
        if without.all():
            raise InputError(
                f"--cluster {cluster}: no sample of {task} has it; name a metadata key or a field of the document"
            )
        found.notes.append(f"{task}: {int(without.sum())} samples have no {cluster}; each is a cluster of its own")
    return np.where(without, fresh + left, named)
