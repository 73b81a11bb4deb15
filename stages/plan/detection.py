"""The smallest loss that a comparison could show, and how many prompts show a given one, with the assumptions behind
it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from relearn.statistics import power
from relearn.statistics.power import Noise, PairedShare

ASSUMED = "assumed"


@dataclass(frozen=True)
class Assumed:
    """What is assumed where no earlier run has measured it."""

    score: float
    correlation: float
    within: float
    deviation: float | None
    seed_deviation: float | None

    def describe(self, rows: Sequence[Detection]) -> list[str]:
        """The assumptions behind the rows, in words."""
        found = []
        if any(row.basis == ASSUMED for row in rows):
            found.append(
                f"assumed: scores spread as a share's do, the most that scores from 0 to 1 can; {self.score:g} before, "
                f"correlation {self.correlation:g} between the models over prompts, {self.within:g} within a cluster"
            )
        if any(row.of_method is None and row.seeds > 1 for row in rows):
            found.append(
                "the spread over training seeds is unknown (--seed-deviation): losses are those of the checkpoints, not of the method"
            )
        return found


@dataclass(frozen=True)
class Known:
    """What an earlier table tells about a metric: deviation of a cluster's difference, and over training seeds."""

    deviation: float | None = None
    seed_deviation: float | None = None


@dataclass
class Detection:
    """What a task's headline metric could show. inf: nothing, whatever the loss; None: not known."""

    task: str
    metric: str
    prompts: int
    clusters: int
    seeds: int
    detectable: float | None  # of these checkpoints
    of_method: float | None  # of the method, over the seeds
    needed: int | None  # prompts that show the loss asked for
    basis: str


def detect(
    task: str, metric: str, prompts: int, clusters: int, seeds: int, loss: float, assumed: Assumed, known: Known
) -> Detection:
    """The smallest loss that shows, and the prompts that show `loss`, with as many prompts a cluster as now."""
    found = Detection(task, metric, prompts, clusters, seeds, None, None, None, "")
    each = prompts / clusters
    deviation = known.deviation if assumed.deviation is None else assumed.deviation
    if deviation is not None:
        one: float = deviation
        source = "given" if assumed.deviation is not None else "from the earlier table"
        found.basis = f"deviation {one:.3f}, {source}"
        found.detectable = power.find_detectable([Noise(one, clusters)])
        enough = power.fewest(lambda number: power.find_detectable([Noise(one, number)]) <= loss)
    else:
        share = PairedShare(assumed.score, assumed.correlation)
        design = power.effective_size(each, 1, assumed.within)  # of one cluster
        found.basis = ASSUMED
        found.detectable = share.find_detectable(clusters * design)
        enough = power.fewest(lambda number: share.needed(loss) <= number * design)
        deviation = math.sqrt(max(0.0, share.changed(loss) - loss**2) / design) if loss <= assumed.score else None
    found.needed = None if enough is None else math.ceil(enough * each)
    over_seeds = known.seed_deviation if assumed.seed_deviation is None else assumed.seed_deviation
    if over_seeds is not None and seeds > 1 and deviation is not None:
        found.of_method = power.find_detectable([Noise(deviation, clusters), Noise(over_seeds, seeds)])
    return found
