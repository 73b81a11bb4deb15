"""The learn-forget curve of a fine-tune: bits per byte of every task along λ, the factor of the change of its weights.

λ = 0 is base and λ = 1 the tuned model (WiSE-FT: Wortsman et al. 2022, arXiv 2109.01903). Bits per byte need no decoding,
so a curve costs one reading of the references for every λ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import numpy as np

from relearn.decoding.items import CurveRow
from relearn.errors import InputError
from relearn.evaluation.models import make_plain
from relearn.evaluation.roles import ScoredTask
from relearn.statistics import gates, resampling
from relearn.statistics.curves import values_along
from relearn.statistics.resampling import Counts
from relearn.statistics.scores import Floats


@dataclass(frozen=True)
class TaskCurve:
    """One task along the factors. `bits` is (items, factors), `sizes` the bytes of each item; `numbers` its cluster."""

    ids: tuple[str, ...]
    bits: Floats
    sizes: Floats
    numbers: Any
    clusters: int

    def sums(self) -> Floats:
        """(clusters, factors + 1): bits at each factor, and bytes."""
        return resampling.cluster_sums(np.hstack([self.bits, self.sizes[:, None]]), self.numbers, self.clusters)

    def points(self) -> Floats:
        """Bits per byte at each factor."""
        return np.asarray(self.bits.sum(axis=0) / self.sizes.sum())

    def values(self, drawn: Counts) -> Floats:
        """Bits per byte of the sample and of every draw: (1 + draws, factors)."""
        sums = self.sums()
        return values_along(sums[:, :-1], sums[:, -1], drawn)

    def lose(self, place: int, factors: Floats) -> gates.Losses:
        """What is lost from base (the factor 0, which is the first) to another factor, as gates take it.

        Bits per byte have no bound: no row is taken to lose more than the most that any row here loses at a factor up to 1
        (or this one), since losses grow along the curve.
        """
        sums = self.sums()
        each = self.bits / self.sizes[:, None]
        near = factors <= max(1.0, factors[place])
        span = float(np.abs(each - each[:, :1])[:, near].max())
        return gates.Losses(sums[:, 0], sums[:, place], sums[:, -1], -1, span, float(each[:, 0].min()))


@dataclass(frozen=True)
class Curve:
    """The tasks of one tuned model along the same factors, which begin with 0 and have 1."""

    factors: Floats
    tasks: dict[str, TaskCurve]

    @property
    def tuned(self) -> int:
        """The place of the factor 1."""
        return int(np.flatnonzero(self.factors == 1)[0])


def read_curve(rows: Iterable[CurveRow], where: str) -> Curve:
    """The curve that rows hold, whatever their order. InputError, naming `where`, for rows of different factors."""
    ordered = sorted(rows, key=lambda row: row.task)
    if not ordered:
        raise InputError(f"{where}: holds no rows; no held-out row has a reference")
    factors = ordered[0].factors
    if factors[0] != 0 or 1 not in factors or any(row.factors != factors for row in ordered):
        raise InputError(f"{where}: rows of different factors, or without 0 and 1; run predict again")
    tasks = {}
    for task, found in groupby(ordered, key=lambda row: row.task):
        own = [row for row in found if row.bytes]
        numbers, clusters = resampling.number_clusters([row.group for row in own])
        bits = np.array([row.nll for row in own]) / np.log(2)
        sizes = np.array([float(row.bytes) for row in own])
        tasks[task] = TaskCurve(tuple(row.id for row in own), bits, sizes, numbers, clusters)
    return Curve(np.array(factors), tasks)


def describe_curve(
    curve: Curve, tasks: Sequence[ScoredTask], resamples: int, seed: int, most_lost: float | None = None
) -> dict[str, Any]:
    """The curve with intervals over clusters, as plain values rounded for JSON.

    Of each task and factor: bits per byte; `change`, what is lost of it (above 0) or gained (below) since base; `share`, the
    change over that of the factor 1, None where the latter's interval holds 0. With `most_lost`, a share of base's bits per
    byte, `limit` says which factor keeps it (`find_largest`).
    """
    found: dict[str, Any] = {"factors": curve.factors.tolist(), "tasks": {}}
    for task in tasks:
        if task.name in curve.tasks:
            found["tasks"][task.name] = _describe_task(curve, curve.tasks[task.name], task, resamples, seed)
    if most_lost is not None:
        found["limit"] = find_largest(curve, [task.name for task in tasks if not task.is_new], most_lost)
    plain: dict[str, Any] = make_plain(found)
    return plain


def _describe_task(curve: Curve, own: TaskCurve, task: ScoredTask, resamples: int, seed: int) -> dict[str, Any]:
    values = own.values(resampling.draw(own.clusters, resamples, seed))
    change = values - values[:, :1]
    whole = change[:, curve.tuned]
    ends = resampling.percentiles(whole[1:], own.clusters)
    known = not ends.low <= 0 <= ends.high
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = change / whole[:, None]
    points = []
    for place, factor in enumerate(curve.factors):
        point: dict[str, Any] = {"factor": float(factor)}
        for name, numbers in (("value", values), ("change", change), ("share", shares)):
            if name == "share" and not known:
                point |= {"share": None, "share_low": None, "share_high": None}
                continue
            ends = resampling.percentiles(numbers[1:, place], own.clusters)
            start = "" if name == "value" else f"{name}_"
            point |= {name: float(numbers[0, place]), f"{start}low": ends.low, f"{start}high": ends.high}
        points.append(point)
    return {"role": task.role, "items": len(own.ids), "clusters": own.clusters, "points": points}


def find_largest(curve: Curve, old: Sequence[str], most_lost: float) -> dict[str, Any]:
    """The largest factor at which every old task is proven to lose at most `most_lost` of base's bits per byte.

    A fixed-sequence test (Maurer, Hothorn & Lehmacher 1995): up from the smallest factor, each at the full level, and it
    ends at the first that is not proven, so that no correction is needed and a later one that would hold is not taken. Of
    several tasks all must hold, which needs no correction either (Berger 1982). Of fewer clusters than FEW_CLUSTERS nothing is
    proven. `factor` is 0 where nothing holds: base; `stopped` is the factor, task, clusters and loss at which it ended, None
    where all hold.
    """
    kept = 0.0
    for place in range(1, len(curve.factors)):
        for task in old:
            losses, clusters = curve.tasks[task].lose(place, curve.factors), curve.tasks[task].clusters
            if clusters >= resampling.FEW_CLUSTERS and gates.proves_within(losses, most_lost, relative=True):
                continue
            ends = gates.loss_ends(losses, relative=True)
            stop = {"factor": float(curve.factors[place]), "task": task, "clusters": clusters}
            stop["ratio"] = losses.loss / losses.base
            return {"most_lost": most_lost, "factor": kept, "stopped": stop | asdict(ends)}
        kept = float(curve.factors[place])
    return {"most_lost": most_lost, "factor": kept, "stopped": None}
