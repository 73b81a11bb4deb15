"""What `relearn compare --logs` found, whatever it is then written as."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from relearn.compare.logs.changes import LEVEL, MetricChange
from relearn.compare.logs.gates import Ruling, as_json
from relearn.logs.pairs import Series
from relearn.statistics.gates import combined_status


@dataclass
class Compared:
    """From one model to another: the changes, the series they come from, and what was not compared."""

    before: str
    after: str
    changes: list[MetricChange]
    series: list[Series]
    one_sided: dict[str, dict[str, int]]
    skipped: dict[str, str]


@dataclass
class Result:
    """All of it. The first comparison is base to tuned, which the gates judge."""

    models: dict[str, dict[str, Any]]  # role: where its logs are, the tool, the model's name
    comparisons: list[Compared]
    rulings: list[Ruling]
    notes: list[str]
    cluster: str | None

    @property
    def status(self) -> int:
        return combined_status(ruling.answer for ruling in self.rulings)

    @property
    def finding(self) -> str:
        """One sentence: gates first, then how many tasks changed."""
        tasks = [one for one in self.comparisons[0].changes if one.kind == "task" and one.primary]
        worse = sum(one.changed and one.direction < 0 for one in tasks)
        better = sum(one.changed and one.direction > 0 for one in tasks)
        said = f"{worse} of {len(tasks)} tasks significantly worse, {better} significantly better"
        differ = sum(bool(one.differ) for one in tasks)
        said += f"; {differ} cannot be compared because the prompts or settings differ" if differ else ""
        lost = len(set(self.comparisons[0].one_sided) - {one.task for one in self.comparisons[0].changes})
        said += f"; {lost} more without scores to compare" if lost else ""
        verdict = {0: "All gates hold", 1: "A gate cannot be judged", 3: "A gate fails", 4: "A gate is undecided"}
        return f"{verdict[self.status]}. {said}." if self.rulings else f"{said[0].upper()}{said[1:]}."

    def as_json(self) -> dict[str, Any]:
        """Every figure; null where there is none."""
        return {
            "status": self.status,
            "finding": self.finding,
            "models": self.models,
            "cluster": self.cluster,
            "gates": [as_json(ruling) for ruling in self.rulings],
            "comparisons": [
                {
                    "from": one.before,
                    "to": one.after,
                    "changes": [
                        {**{key: finite(value) for key, value in vars(change).items()}, "words": in_words(change)}
                        for change in one.changes
                    ],
                    "one_sided": one.one_sided,
                    "skipped": one.skipped,
                }
                for one in self.comparisons
            ],
            "notes": self.notes,
        }


def finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def in_words(change: MetricChange) -> str:
    """What the figures show, in words."""
    if change.differ:
        return f"not comparable: {change.differ} differ"
    if change.changed:
        word = "better" if change.direction > 0 else "worse"
        return word if change.primary else f"{word} (unadjusted)"
    if change.mixed:
        more, mean = ("better", "worse") if change.direction < 0 else ("worse", "better")
        return f"mixed: more samples are {more}, the mean is {mean}"
    if change.clusters < change.samples and 2.0 ** (1 - change.clusters) > LEVEL:
        return f"{change.clusters} clusters are too few to show any difference"
    if math.isnan(change.detectable) or change.detectable <= abs(change.difference):
        return "no difference shown"
    return f"no difference shown; one of {change.detectable:.3g} would have shown"
