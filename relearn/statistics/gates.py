"""Is a loss proven within a margin? An interval that holds on few, rare and clustered losses, and three answers.

The bound is Gaffke's (2005; Learned-Miller & Thomas 2020; of shares it is that of Clopper & Pearson 1934): the Bayesian
bootstrap of the clusters with one more cluster added, in which the worst happens to every sample. No loss among n thus
never has a bound of zero, and nothing is assumed of how losses are distributed but their range. A margin relative to
base is a loss too: that of `after` against (1 - margin) of `before`, so that no ratio is taken and base may be near 0.
`python -m bench.gate_coverage` tries it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import log_ndtr
from scipy.special import ndtri as normal_quantile

from relearn.statistics.resampling import CONFIDENCE, Interval
from relearn.statistics.scores import Floats

Answer = Literal["within", "worse", "undecided", "unjudged"]
STATUS: dict[Answer, int] = {"within": 0, "unjudged": 1, "worse": 3, "undecided": 4}
TAIL = (1 - CONFIDENCE) / 2
POWER = 0.8
MOST = 1e4  # times the sample: what would need more is called undecidable
GRID = 20_000  # kinds of clusters that are told apart; more are rounded, against the claim
STEPS = 60


def combined_status(answers: Iterable[Answer]) -> int:
    """The exit status of several gates: all must hold, and 1, 3, 4, 0 is the order in which they are reported."""
    found = {STATUS[answer] for answer in answers}
    return next((status for status in (1, 3, 4) if status in found), 0)


@dataclass(frozen=True)
class Losses:
    """Paired scores turned so that a loss is above 0, summed within clusters: each (clusters,).

    `before` and `after` are sums of scores, `sizes` their weights. No single loss is more than `span`, and no score
    below `floor`.
    """

    before: Floats
    after: Floats
    sizes: Floats
    sign: int  # 1 where higher scores are better, -1 where lower ones are
    span: float
    floor: float = 0.0

    @property
    def loss(self) -> float:
        return self.sign * float(self.before.sum() - self.after.sum()) / float(self.sizes.sum())

    @property
    def base(self) -> float:
        return float(self.before.sum() / self.sizes.sum())

    def against(self, margin: float, relative: bool) -> tuple[Floats, float]:
        """(each cluster's loss beyond the margin, the most that one more cluster could lose beyond it)."""
        if relative:
            beyond = self.sign * (self.before - self.after) - margin * self.before
            # All is lost of the highest score; or, where lower is better, the best score becomes the worst.
            worst = self.span - margin * (self.floor + (self.span if self.sign > 0 else 0.0))
        else:
            beyond, worst = self.sign * (self.before - self.after) - margin * self.sizes, self.span - margin
        return beyond, worst * float(self.sizes.max())


def chance_above(beyond: Floats, counts: Floats, worst: float) -> float:
    """Of the Bayesian bootstrap's weighted sum of `beyond` (each `counts` times) and one `worst` to be above 0.

    The sum of exponentials has a cumulant function in closed form, and its tail is Lugannani & Rice's (1980)
    saddlepoint approximation: no random numbers. Of equal clusters without a loss it is that of Clopper & Pearson to
    four digits.
    """
    return float(chances_above(beyond[None], counts[None], np.array([worst]))[0])


def chances_above(beyond: Floats, counts: Floats, worst: Floats) -> Floats:
    """`chance_above` for each row of (rows, kinds)."""
    beyond = np.hstack([beyond, worst[:, None]])
    counts = np.hstack([np.broadcast_to(counts, (len(beyond), beyond.shape[1] - 1)), np.ones((len(beyond), 1))])
    top = np.where(counts > 0, beyond, -np.inf).max(axis=1)
    mean, low = (counts * beyond).sum(axis=1), np.where(counts > 0, beyond, np.inf).min(axis=1)
    found = np.where(top <= 0, 0.0, 1.0)
    rows = (top > 0) & (mean < 0) & (low < 0)
    if not rows.any():
        return found
    scaled, counts = beyond[rows] / top[rows, None], counts[rows]
    point = _saddlepoints(scaled, counts)[:, None]
    cumulant = -(counts * np.log1p(-point * scaled)).sum(axis=1)
    curve = (counts * (scaled / (1 - point * scaled)) ** 2).sum(axis=1)
    root, other = np.sqrt(np.maximum(-2 * cumulant, 1e-12)), point[:, 0] * np.sqrt(curve)
    density = np.exp(cumulant) / math.sqrt(2 * math.pi)
    found[rows] = np.clip(np.exp(log_ndtr(-root)) + density * (1 / np.maximum(other, 1e-6) - 1 / root), 0, 1)
    return found


def _saddlepoints(scaled: Floats, counts: Floats) -> Floats:
    """Where the slope of each row's cumulant function is 0, between 0 and 1: Newton's steps, halving where they leave."""
    least, most = np.zeros(len(scaled)), np.ones(len(scaled))
    point = np.full(len(scaled), 0.5)
    for _ in range(STEPS):
        terms = scaled / (1 - point[:, None] * scaled)
        slope = (counts * terms).sum(axis=1)
        most, least = np.where(slope > 0, point, most), np.where(slope > 0, least, point)
        step = point - slope / (counts * terms**2).sum(axis=1)
        following = np.where((step > least) & (step < most), step, (least + most) / 2)
        done = np.abs(following - point) < 1e-13
        point = following
        if done.all():
            break
    return point


def _kinds(beyond: Floats) -> tuple[Floats, Floats]:
    """Distinct values and how often; of too many, rounded up."""
    if len(beyond) > GRID:
        step = float(np.ptp(beyond)) / GRID or 1.0
        beyond = np.ceil(beyond / step) * step
    found, counts = np.unique(beyond, return_counts=True)
    return found, counts.astype(float)


def proves_within(losses: Losses, margin: float, relative: bool, times: float = 1, tail: float = TAIL) -> bool:
    """Whether the loss is below the margin: the interval's worse end is, or would be if the sample came `times` over."""
    beyond, worst = losses.against(margin, relative)
    kinds, counts = _kinds(beyond)
    return chance_above(kinds, times * counts, worst) <= tail


def proves_worse(losses: Losses, margin: float, relative: bool, times: float = 1, tail: float = TAIL) -> bool:
    """Whether the loss is above the margin: the interval's better end is."""
    beyond, _ = losses.against(margin, relative)
    kinds, counts = _kinds(-beyond)
    size = float(losses.sizes.max())
    # The best for one more cluster: it gains all it can.
    base = losses.floor + (losses.span if losses.sign < 0 else 0.0) if relative else 1.0
    gain = losses.span + margin * base
    return chance_above(kinds, times * counts, gain * size) <= tail


def proves_above(losses: Losses, floor: float) -> bool:
    """Whether base's mean is above `floor`: the better end of what it may lack of that is below 0."""
    kinds, counts = _kinds(floor * losses.sizes - losses.before)
    size = float(losses.sizes.max())
    return losses.base > floor and chance_above(kinds, counts, (floor - losses.floor) * size) <= TAIL


def loss_ends(losses: Losses, relative: bool = False) -> Interval:
    """The 95% interval of the loss, or of the loss over base: the margins that are neither proven within nor worse.

    nan where base has no score above 0 and the loss is relative.
    """
    if relative and losses.base <= 0:
        return Interval(math.nan, math.nan)
    middle = losses.loss / losses.base if relative else losses.loss
    reach = 1.0 if relative else losses.span
    most = _edge(lambda margin: proves_within(losses, margin, relative), middle, max(reach, middle), reach)
    least = _edge(lambda margin: proves_worse(losses, margin, relative), middle, min(-reach, middle), reach)
    return Interval(least, most)


def _edge(holds: Callable[[float], bool], inner: float, outer: float, reach: float) -> float:
    """Where `holds` begins between a margin where it fails and one further out."""
    for _ in range(20):  # a relative loss has no bound where lower is better
        if inner == outer or holds(outer):
            break
        outer += (1 if outer > inner else -1) * (abs(outer) + reach)
    else:
        return math.copysign(math.inf, outer - inner)
    for _ in range(24):
        middle = (inner + outer) / 2
        inner, outer = (inner, middle) if holds(middle) else (middle, outer)
    return outer


def judge(losses: Losses, margin: float, relative: bool) -> Answer:
    """within: the interval's worse end is; worse: its better end is beyond; undecided: neither."""
    if relative and losses.base <= 0:
        return "unjudged"
    if proves_within(losses, margin, relative):
        return "within"
    return "worse" if proves_worse(losses, margin, relative) else "undecided"


def samples_to_decide(losses: Losses, margin: float, relative: bool, samples: int) -> int | None:
    """The size of a new sample that would decide in 80% of cases, if its effect and spread are this one's.

    None where none would: the effect is the margin itself, or so near it that more than MOST samples would be needed.
    """
    beyond, _ = losses.against(margin, relative)
    # Power: the effect must be seen not only in half of the cases (Cohen 1988).
    z = float(normal_quantile(1 - TAIL) + normal_quantile(POWER))
    tail = math.exp(float(log_ndtr(-z)))
    proves = proves_within if beyond.sum() < 0 else proves_worse
    if not proves(losses, margin, relative, MOST, tail):
        return None
    many = math.log(MOST)
    few = -math.log(max(2, len(losses.sizes)))
    for _ in range(16):
        middle = (few + many) / 2
        few, many = (few, middle) if proves(losses, margin, relative, math.exp(middle), tail) else (middle, many)
    return math.ceil(samples * math.exp(many))
