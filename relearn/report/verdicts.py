"""What the intervals show about each change between base, the tuned and the replayed model.

A change is claimed only where the table marks it (the paired test, after Holm's correction) and its 95% interval leaves
out 0; the words for it are in the templates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from relearn.evaluation.roles import ModelRoles, ScoredTask
from relearn.metrics.metric import is_lower_better, say_metric
from relearn.records import Role
from relearn.report.cells import Cell, root_cell
from relearn.statistics.significance import LEVEL

INTERVALS = "metrics/intervals.json"
Verdict = Literal["better", "worse", "unclear"]


@dataclass(frozen=True)
class Change:
    """One metric from one model to the next. `cell` is its entry in the intervals file.

    `before` and `after` are the scores; `verdict` says which is better, as far as the test and the interval show;
    `significant` is the paired test's answer after Holm's correction, which the table marks; `apart` whether the
    interval leaves out 0; `defined` whether `ratio` has an interval: the relative loss, or the share recovered.
    """

    task: str
    metric: str
    cell: Cell
    before: Cell
    after: Cell

    @property
    def name(self) -> str:
        if self.metric == "code_rate":
            return "the share of answers with code"
        return say_metric(self.metric)

    @property
    def title(self) -> str:
        """The name at the start of a sentence."""
        return self.name[:1].upper() + self.name[1:] if " " in self.name else self.name

    @property
    def lower_is_better(self) -> bool:
        return is_lower_better(self.metric)

    @property
    def verdict(self) -> Verdict:
        if not self.significant or not self.apart:
            return "unclear"
        # A loss is counted as positive, and so is what comes back.
        positive = self.cell.raw["low"] > 0
        return "better" if positive == (self.cell.raw["kind"] == "recovery") else "worse"

    @property
    def apart(self) -> bool:
        low, high = self.cell.raw["low"], self.cell.raw["high"]
        return low is not None and high is not None and not low <= 0 <= high

    @property
    def significant(self) -> bool:
        p = self.cell.raw["p_holm"]
        return p is not None and p <= LEVEL

    @property
    def rose(self) -> bool:
        """Whether the number itself went up, whatever that means."""
        return bool(self.after.raw["value"] > self.before.raw["value"])

    @property
    def whole(self) -> bool:
        """Whether the interval of the recovered share leaves room for all of it."""
        return self.defined and self.cell.raw["ratio_high"] >= 1

    @property
    def more(self) -> bool:
        """Whether more came back than was lost, by the scores."""
        return self.defined and self.cell.raw["ratio"] > 1

    @property
    def surely_more(self) -> bool:
        """Whether more came back than was lost, by the interval too."""
        return self.defined and self.cell.raw["ratio_low"] > 1

    @property
    def defined(self) -> bool:
        return all(self.cell.raw[end] is not None for end in ("ratio", "ratio_low", "ratio_high"))


@dataclass(frozen=True)
class TaskChanges:
    """The changes of one task: base to tuned, and tuned to replayed, by metric, the headline first."""

    task: str
    role: Role
    cell: Cell
    forgetting: dict[str, Change]
    recovery: dict[str, Change]

    @property
    def headline(self) -> str:
        return next(iter(self.forgetting))

    @property
    def lost(self) -> Change:
        return self.forgetting[self.headline]

    @property
    def back(self) -> Change | None:
        return self.recovery.get(self.headline)

    @property
    def kept(self) -> bool:
        """Whether the last model's headline is clearly better than base's: their intervals lie apart."""
        if self.back is None:
            return False
        first, last = self.lost.before.raw, self.back.after.raw
        if self.lost.lower_is_better:
            return last["high"] is not None and first["low"] is not None and last["high"] < first["low"]
        return last["low"] is not None and first["high"] is not None and last["low"] > first["high"]

    @property
    def lost_again(self) -> str:
        """How much of what was learned the last model has lost again, by the scores: "part", "most"; empty for all of it,
        where base is no worse as far as the intervals show.
        """
        if self.back is None or not self.kept:
            return ""
        first, taught, last = (cell.raw["value"] for cell in (self.lost.before, self.back.before, self.back.after))
        return "most" if abs(taught - last) > abs(taught - first) / 2 else "part"


def find_changes(
    intervals: Mapping[str, Any], tasks: Sequence[ScoredTask], roles: ModelRoles
) -> dict[str, TaskChanges]:
    """The changes of every task that was scored, over the metrics of the 3a table in its order."""
    root = root_cell(INTERVALS, intervals)
    found: dict[str, TaskChanges] = {}
    for task in tasks:
        if not root["tasks"].has(task.name):
            continue
        cell = root["tasks"][task.name]
        kinds: dict[str, dict[str, Change]] = {"forgetting": {}, "recovery": {}}
        for entry in cell["comparisons"]:
            if entry.raw["p_holm"] is None:  # corrected are those that the table shows
                continue
            metric, scores = entry.raw["metric"], cell["scores"][entry.raw["metric"]]
            made = kinds[entry.raw["kind"]]
            if entry.raw["after"] in roles.others or entry.raw["better"] is None:  # neither way is: code in a poem
                continue
            made[metric] = Change(task.name, metric, entry, scores[entry.raw["before"]], scores[entry.raw["after"]])
        if kinds["forgetting"]:
            found[task.name] = TaskChanges(task.name, task.role, cell, kinds["forgetting"], kinds["recovery"])
    return found
