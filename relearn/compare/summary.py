"""What the tuned model lost and gained, as a table that says only what the intervals allow, and the release guard."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tabulate import tabulate

from relearn.errors import InputError
from relearn.evaluation.forgetting import LEVEL
from relearn.evaluation.roles import ScoredTask
from relearn.metrics.metric import all_metrics, label

OLD: Final = "old"  # the tasks, by the options that name their rows
NEW: Final = "new"
TITLES = {OLD: "Old skills", NEW: "New skill"}
GUARD = re.compile(r"((?P<task>old|new)\.)?(?P<metric>[a-z0-9_]+)=(?P<most>[0-9.eE+-]+)(?P<percent>%?)")
LARGE = 10.0  # relative changes from here on have no decimals


@dataclass(frozen=True)
class Guard:
    """Fails where the relative forgetting of `metric` on `task` is surely above `most` (0.05 for 5%)."""

    task: str
    metric: str
    most: float

    @classmethod
    def read(cls, text: str) -> Guard:
        """From `METRIC=X` or `TASK.METRIC=X`; `old` where no task is named. InputError when it is neither."""
        match = GUARD.fullmatch(text.strip())
        try:
            most = float(match["most"]) if match else math.nan
        except ValueError:
            most = math.nan
        if match is None or not math.isfinite(most):
            raise InputError(f"--fail-above {text}: METRIC=X is expected, such as rouge_l=0.05, or new.bpb=0.1")
        known = list(all_metrics())
        if match["metric"] not in known:
            raise InputError(f"--fail-above {text}: unknown metric; there are {', '.join(known)}")
        return cls(match["task"] or OLD, match["metric"], most / 100 if match["percent"] else most)

    def judge(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """The finding: relative forgetting with its interval, and whether it fails.

        Raises InputError when it cannot be told, which must not pass for a release that forgot nothing.
        """
        name = f"--fail-above {self.task}.{self.metric}"
        comparisons = found.get(self.task, {}).get("comparisons", [])
        lost = [one for one in comparisons if one["kind"] == "forgetting"]
        one = next((one for one in lost if one["metric"] == self.metric), None)
        if one is None:
            raise InputError(
                f"{name}: was not measured here; there are {', '.join(one['metric'] for one in lost) or 'none'}"
            )
        if one["better"] is None:
            raise InputError(f"{name}: neither more nor less of it is better on this data; guard another metric")
        if one["ratio"] is None or one["ratio_low"] is None or math.isinf(one["ratio_low"]):
            raise InputError(f"{name}: base scores 0, so that nothing relative can be said; guard another metric")
        return {
            "task": self.task,
            "metric": self.metric,
            "above": self.most,
            "forgotten": one["ratio"],
            "low": one["ratio_low"],
            "high": one["ratio_high"],
            "failed": one["ratio_low"] > self.most,
        }


def describe_guards(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line a guard."""
    return [
        f"{one['task']} {one['metric']}: {_percent(one['forgotten'])} forgotten "
        f"[{_percent(one['low'])}, {_percent(one['high'])}], "
        + (
            f"surely above {_percent(one['above'])}: fails"
            if one["failed"]
            else f"not surely above {_percent(one['above'])}: passes"
        )
        for one in findings
    ]


def describe_forgetting(found: Mapping[str, Any], tasks: Sequence[ScoredTask]) -> str:
    """Markdown: for each task and metric of the table what changed from base to tuned, and what replay brought back."""
    parts = []
    for task in tasks:
        comparisons = found.get(task.name, {}).get("comparisons", [])
        steps = dict.fromkeys((one["before"], one["after"], one["kind"]) for one in comparisons)
        for before, after, kind in steps:
            shown = [
                one
                for metric in task.metrics
                for one in comparisons
                if (one["metric"], one["before"], one["after"]) == (metric, before, after)
            ]
            if not shown:
                continue
            ratio = "relative" if kind == "forgetting" else "of what was lost"
            heads = ["metric", "change", "95% interval", ratio, "p (Holm)", "in words"]
            body = [_line(one) for one in shown]
            table = tabulate(body, heads, tablefmt="github", disable_numparse=True)
            parts.append(f"### {TITLES.get(task.name, task.name)}: from {before} to {after}\n\n{table}\n")
    parts.append(
        "Changes are turned so that above 0 is better, bits per byte too. Relative: over the score of base (Luo et al. "
        "2023). Of what was lost: defined only where the loss is sure. Holding code counts as better only where the "
        "references are mostly code.\n"
    )
    return "\n".join(parts)


def _line(one: Mapping[str, Any]) -> list[str]:
    """Forgetting is a change below 0, whatever the metric."""
    turn = -1 if one["kind"] == "forgetting" else 1
    low, high = sorted((turn * one["low"], turn * one["high"])) if one["low"] is not None else (None, None)
    ends = "–" if low is None or high is None else f"[{low:+.3f}, {high:+.3f}]"
    return [
        label(one["metric"]),
        f"{turn * one['value']:+.3f}",
        ends,
        _relative(one, turn),
        "–" if one["p_holm"] is None else "< 0.001" if one["p_holm"] < 0.001 else f"{one['p_holm']:.3f}",
        _words(one),
    ]


def _relative(one: Mapping[str, Any], turn: int) -> str:
    if one["ratio"] is None or math.isinf(one["ratio"]):
        return "undefined"
    if one["ratio_low"] is None or one["ratio_high"] is None:
        return _signed(turn * one["ratio"])
    low, high = sorted((turn * one["ratio_low"], turn * one["ratio_high"]))
    return f"{_signed(turn * one['ratio'])} [{_signed(low)}, {_signed(high)}]"


def _signed(share: float) -> str:
    return f"{share:+.0%}" if abs(share) >= LARGE else f"{share:+.1%}"


def _words(one: Mapping[str, Any]) -> str:
    if one["p_holm"] is not None and one["p_holm"] <= LEVEL:
        return "changed" if one["better"] is None else "better" if one["better"] else "worse"
    if not one["detectable"]:
        return "no difference shown"
    return f"no difference shown; one of {one['detectable']:.3f} would have been"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"
