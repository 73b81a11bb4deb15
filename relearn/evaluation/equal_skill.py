"""What remedies lose of the old skills at equal new skill, each on its own learn-forget curve.

A method that learns less also forgets less, so a score at λ = 1 says nothing about the method. Here every method, plain
training included, is taken at the smallest λ at which it has a share (90%) of what plain training gains at λ = 1, in
bits per byte of the new tasks; what the old tasks have lost there is compared, in bits per byte. A curve is linear
between the factors at which it is known.

Every resample draws clusters within each task, finds the target anew from plain, and reads all methods off the same draw, so
that differences are paired. Several training seeds are paired too: each seed of a method is held against that seed of plain,
and the mean over their common seeds is compared. A claim about a method that was chosen by a seed leaves that seed out. Holm's
correction runs over all methods within an old task, whatever seeds they rest on: it holds for any dependence between
them. The interval is over prompts; with fewer than three seeds the claim is about these checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from relearn.errors import InputError
from relearn.evaluation.curve import Curve
from relearn.evaluation.equal_answers import Answers
from relearn.evaluation.models import make_plain
from relearn.evaluation.roles import ScoredTask
from relearn.statistics import resampling, significance
from relearn.statistics.curves import find_crossings, guarded_ends, guarded_p, read_at
from relearn.statistics.resampling import Interval
from relearn.statistics.scores import Floats

SHARE = 0.9  # of plain's gain that every method is to have
SAME = 1e-3  # relative: by how much base's bits may differ between runs of one base


@dataclass(frozen=True)
class Loss:
    """One method on one old task, at equal new skill. In bits per byte, above 0 being a loss.

    `base` is what base takes there. `lost` is the method's own loss from base, `more` its loss less plain's over their common seeds; both with 95% intervals. `p` is of
    `more`, `p_holm` after Holm's correction over the methods. nan where a seed never reaches the target.
    """

    task: str
    base: float
    lost: float
    low: float
    high: float
    more: float
    more_low: float
    more_high: float
    p: float
    p_holm: float


@dataclass(frozen=True)
class AtEqualSkill:
    """One method at equal new skill. `factors` are the λ of its training seeds, None for one that never reaches the target;
    `chosen_by` are those of the seeds that it was chosen by, on which nothing else here rests.

    `gained` is its gain at λ = 1 over plain's, of the seeds that both have. `missed` is the share of resamples in which some
    seed does not reach the target. `time` is that of its training as a multiple of plain's, counted in passes, where that is
    known; `command` trains it; `answers` are those at the λ of the main seed, of plain and of each method whose loss is not the
    likelihood. Whoever knows the experiments fills these three in.
    """

    method: str
    factors: dict[int, float | None]
    gained: float
    missed: float
    losses: list[Loss]
    time: float | None = None
    command: str = ""
    answers: Answers | None = None
    chosen_by: dict[int, float | None] = field(default_factory=dict)

    @property
    def reaches(self) -> bool:
        return all(factor is not None for factor in self.factors.values())

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        found: dict[str, Any] = make_plain(asdict(self))
        return found


def compare_at_equal_skill(
    methods: Mapping[str, Mapping[int, Curve]],
    plain: str,
    tasks: Sequence[ScoredTask],
    resamples: int,
    seed: int,
    share: float = SHARE,
    chosen_by: Mapping[str, Collection[int]] = MappingProxyType({}),
) -> list[AtEqualSkill]:
    """Every method of `methods` (name, then training seed, then curve), `plain` first, at `share` of plain's gain.

    Seeds that plain does not have are left out, and of a method those that it was `chosen_by`. Several new tasks count by
    the mean of their gains. Raises InputError where a method has no seed of plain's, or the runs are not of the same base
    and rows.
    """
    first = next(iter(methods[plain].values()))
    known = [task for task in tasks if task.name in first.tasks]
    new, old = [task.name for task in known if task.is_new], [task.name for task in known if not task.is_new]
    if not new or not old:
        raise InputError("a comparison at equal new skill needs rows of a new task and of an old one, with references")
    for name, runs in methods.items():
        for curve in runs.values():
            check_same(name, curve, plain, first)
    sizes = {task.name: first.tasks[task.name].clusters for task in known}
    drawn = resampling.draw_within(list(sizes.values()), resamples, seed)
    ends = dict(zip(sizes, np.cumsum(list(sizes.values())), strict=True))
    draws = {task: drawn[:, ends[task] - sizes[task] : ends[task]] for task in sizes}

    def gain(curve: Curve) -> Floats:
        values = [curve.tasks[task].values(draws[task]) for task in new]
        return np.asarray(np.mean([value[:, :1] - value for value in values], axis=0))

    gains = {name: {number: gain(curve) for number, curve in runs.items()} for name, runs in methods.items()}
    whole = {number: gains[plain][number][:, curve.tuned] for number, curve in methods[plain].items()}
    places: dict[str, dict[int, Floats]] = {}
    for name in [plain, *(name for name in methods if name != plain)]:
        common = [number for number in methods[name] if number in whole]
        if not set(common) - set(chosen_by.get(name, ())):
            but = " but the one that it was chosen by" if common else ""
            raise InputError(f"{name}: no training seed in common with {plain}{but}; run both with the same seeds")
        places[name] = {
            number: find_crossings(methods[name][number].factors, gains[name][number], share * whole[number])
            for number in common
        }
    lost = {
        (name, number, task): _lose(methods[name][number], task, draws[task], at)
        for name, own in places.items()
        for number, at in own.items()
        for task in old
    }
    found = []
    for name, reached in places.items():
        own = {number: at for number, at in reached.items() if number not in chosen_by.get(name, ())}
        losses = []
        for task in old:
            fewest = min(sizes[one] for one in [task, *new])
            mine = np.mean([lost[name, number, task] for number in own], axis=0)
            more = np.mean([lost[name, number, task] - lost[plain, number, task] for number in own], axis=0)
            base = float(first.tasks[task].points()[0])
            losses.append(_summarise(task, base, mine, more, fewest, same=name == plain))
        one = [methods[name][number].tuned for number in own]
        learned = [gains[name][number][0, place] / whole[number][0] for number, place in zip(own, one, strict=True)]
        missed = np.isnan(np.sum(list(own.values()), axis=0))[1:].mean()
        factors = {number: None if math.isnan(at[0]) else float(at[0]) for number, at in reached.items()}
        seen = {number: factors.pop(number) for number in reached if number not in own}
        found.append(AtEqualSkill(name, factors, float(np.mean(learned)), float(missed), losses, chosen_by=seen))
    return _correct_by_task(found, old)


def _lose(curve: Curve, task: str, drawn: Any, places: Floats) -> Floats:
    values = curve.tasks[task].values(drawn)
    return read_at(curve.factors, values - values[:, :1], places)


def _summarise(task: str, base: float, lost: Floats, more: Floats, clusters: int, same: bool) -> Loss:
    """Row 0 is the sample itself. A method that does not reach the target there has no loss, and none is claimed."""
    nothing = Interval(math.nan, math.nan)
    if math.isnan(lost[0]) or math.isnan(more[0]):
        return Loss(task, base, *[math.nan] * 8)
    mine = guarded_ends(lost[1:], clusters)
    apart, p = (nothing, math.nan) if same else (guarded_ends(more[1:], clusters), guarded_p(more[1:], clusters))
    difference = math.nan if same else float(more[0])
    return Loss(task, base, float(lost[0]), mine.low, mine.high, difference, apart.low, apart.high, p, math.nan)


def _correct_by_task(found: list[AtEqualSkill], old: Sequence[str]) -> list[AtEqualSkill]:
    adjusted = {task: significance.holm([one.losses[place].p for one in found]) for place, task in enumerate(old)}
    return [
        replace(one, losses=[replace(loss, p_holm=adjusted[loss.task][place]) for loss in one.losses])
        for place, one in enumerate(found)
    ]


def check_same(name: str, curve: Curve, plain: str, first: Curve) -> None:
    """Raises InputError where two runs cannot be paired."""
    for task, own in first.tasks.items():
        other = curve.tasks.get(task)
        if other is None or other.ids != own.ids:
            raise InputError(f"{name} and {plain} have other rows of {task}; compare runs of the same data")
        if not np.allclose(other.bits[:, 0], own.bits[:, 0], rtol=SAME, atol=SAME):
            raise InputError(
                f"{name} and {plain} have another base, by its likelihood of {task}; compare runs of one base"
            )
