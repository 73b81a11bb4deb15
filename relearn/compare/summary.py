"""What the tuned model lost and gained, as a table that says only what the intervals allow, and the release guard."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Final

from tabulate import tabulate

from relearn.errors import InputError
from relearn.evaluation.roles import ScoredTask
from relearn.metrics.metric import all_metrics, label
from relearn.params.names import nearest
from relearn.statistics.significance import LEVEL

OLD: Final = "old"  # the tasks, by the options that name their rows
NEW: Final = "new"
SUITE: Final = "suite"
TITLES = {OLD: "Old skills", NEW: "New skill"}
GUARD = re.compile(r"((?P<task>old|new|suite)\.)?(?P<metric>[a-z0-9_]+)=(?P<most>[0-9.eE+-]+)(?P<percent>%?)")
Z2 = NormalDist().inv_cdf(0.975) ** 2  # of a 95% interval (Wilson 1927)
FEWEST = 6  # clusters: of the 2^5 ways to swap five pairs, the two most extreme ones are 6%, so that no test at 5% sees a loss
LARGE = 10.0  # relative changes from here on have no decimals


@dataclass(frozen=True)
class Guard:
    """Fails where the relative forgetting of `metric` on `task` is significantly above `most` (0.05 for 5%).

    It passes only where it could have failed: the answers are whole, base scores significantly more than `floor` (the
    score of guessing), and there are enough rows for a total loss to show. Bits per byte need no answers, and no floor.
    """

    task: str
    metric: str
    most: float
    floor: float = 0.0

    @classmethod
    def read(cls, text: str) -> Guard:
        """From `METRIC=X` or `TASK.METRIC=X`; `old` where no task is named. InputError when it is neither."""
        task, metric, most = _read_setting("--fail-above", text, "rouge_l=0.05, or new.bpb=0.1")
        if most >= 1 and all_metrics()[metric].better == "higher":
            raise InputError(f"--fail-above {text}: no more than 100% of a score can be lost; use a smaller share")
        return cls(task, metric, most)

    def judge(self, found: Mapping[str, Any], cut_share: float) -> dict[str, Any]:
        """The finding: relative forgetting with its interval, and whether it passes, fails, or cannot be judged, and why."""
        details = found.get(self.task, {})
        lost = [one for one in details.get("comparisons", []) if one["kind"] == "forgetting"]
        one = next((one for one in lost if one["metric"] == self.metric), None)
        ratio, low, high = (one and one[key] for key in ("ratio", "ratio_low", "ratio_high"))
        finding = {"task": self.task, "metric": self.metric, "above": self.most, "floor": self.floor}
        finding |= {"forgotten": ratio, "low": low, "high": high}
        if one is None:
            names = ", ".join(dict.fromkeys(one["metric"] for one in lost)) or "no metrics of that task"
            return finding | {"answer": "unjudged", "reason": f"it was not measured here; there are {names}"}
        why = self._find_obstacle(one, int(details["clusters"]))
        if not why and float(one["ratio_low"]) > self.most:
            return finding | {"answer": "fails", "reason": f"significantly above {_percent(self.most)}"}
        why = why or self._find_doubt(one, details, cut_share)
        if why:
            return finding | {"answer": "unjudged", "reason": why}
        return finding | {"answer": "passes", "reason": f"not significantly above {_percent(self.most)}"}

    def _find_obstacle(self, one: Mapping[str, Any], clusters: int) -> str:
        """Why there is no relative loss at all, or none that can be told from chance, if so."""
        if clusters < FEWEST:
            return f"{clusters} rows that do not belong together are too few for any verdict; use more"
        if one["better"] is None:
            return "neither more nor less of it is better on this data; guard another metric"
        if any(one[key] is None for key in ("ratio", "ratio_low")) or math.isinf(one["ratio_low"]):
            return "base scores 0, so a relative loss is undefined; guard another metric"
        return ""

    def _find_doubt(self, one: Mapping[str, Any], details: Mapping[str, Any], cut_share: float) -> str:
        """Why the guard could not have failed, if it could not: that must not pass for a release that forgot nothing."""
        if all_metrics()[self.metric].better == "lower":  # bits per byte
            return ""
        for model in (one["before"], one["after"]):
            counts = details["counts"][model]
            if counts["cut"] > cut_share * counts["items"]:
                return (
                    f"{counts['cut']:.0f} of {counts['items']:.0f} answers of {model} ended at the cap; raise "
                    "--max-new-tokens, or guard bpb"
                )
        base = details["scores"][self.metric][one["before"]]
        if base["low"] is None or base["low"] <= self.floor:
            ends = "" if base["low"] is None else f" [{base['low']:.3f}, {base['high']:.3f}]"
            return (
                f"{one['before']} scores {base['value']:.3f}{ends}, not significantly above {self.floor:g}, and cannot "
                "forget what it cannot do; use other rows, or another metric"
            )
        # Of a share that has fallen to 0: what the upper end of 0 of so many leaves of base's lower end.
        clusters = details["clusters"]
        if self.metric in details["flips"] and 1 - (Z2 / (clusters + Z2)) / base["low"] <= self.most:
            rows = "row" if clusters == 1 else "rows that do not belong together"
            return f"with {clusters} {rows} even a total loss would not be significant; use more"
        return ""


def read_floors(texts: Sequence[str], guards: Sequence[Guard]) -> list[Guard]:
    """The guards with their floors, from `METRIC=X` or `TASK.METRIC=X`. InputError for one that no guard has."""
    for text in texts:
        task, metric, floor = _read_setting("--floor", text, "exact_match=0.25, or new.exact_match=25%")
        if not 0 <= floor < 1:
            raise InputError(f"--floor {text}: expected the score of guessing, from 0 to below 1")
        if not any((guard.task, guard.metric) == (task, metric) for guard in guards):
            raise InputError(f"--floor {text}: no --fail-above guards {task}.{metric}; name one that does")
        guards = [replace(g, floor=floor) if (g.task, g.metric) == (task, metric) else g for g in guards]
    return list(guards)


def read_most_lost(text: str) -> float:
    """The share of base's bits per byte that `--most-lost` allows: `0.05` or `5%`. InputError for anything else."""
    try:
        value = float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"--most-lost {text}: expected a share above 0, such as 0.05 or 5%")
    return value


def _read_setting(option: str, text: str, example: str) -> tuple[str, str, float]:
    """Task, metric and share of `METRIC=X` or `TASK.METRIC=X`."""
    match = GUARD.fullmatch(text.strip())
    try:
        value = float(match["most"]) if match else math.nan
    except ValueError:
        value = math.nan
    if match is None or not math.isfinite(value):
        raise InputError(f"{option} {text}: expected METRIC=X, such as {example}")
    known = list(all_metrics())
    if match["metric"] not in known:
        raise InputError(
            f"{option} {text}: unknown metric {match['metric']}{nearest(match['metric'], known)}; there are {', '.join(known)}"
        )
    return match["task"] or OLD, match["metric"], value / 100 if match["percent"] else value


def read_status(findings: Sequence[Mapping[str, Any]]) -> int:
    """The exit status of several guards: all must hold; 1 where one cannot be judged, else 3 where one fails."""
    answers = {one["answer"] for one in findings}
    return 1 if "unjudged" in answers else 3 if "fails" in answers else 0


def describe_guards(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line a guard."""
    return [
        f"{one['task']} {one['metric']}: cannot be judged: {one['reason']}"
        if one["answer"] == "unjudged"
        else f"{one['task']} {one['metric']}: {_percent(one['forgotten'])} forgotten "
        f"[{_percent(one['low'])}, {_percent(one['high'])}], {one['reason']}: {one['answer']}"
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
        "Changes are signed so that above 0 is better, for bits per byte too. Relative: divided by base's score (Luo et al. "
        "2023). Of what was lost: defined only where the loss is significant. Holding code counts as better only where the "
        "references are mostly code.\n"
    )
    return "\n".join(parts)


def _line(one: Mapping[str, Any]) -> list[str]:
    """Forgetting is a change below 0, whatever the metric."""
    turn = -1 if one["kind"] == "forgetting" else 1
    low, high = sorted((turn * one["low"], turn * one["high"])) if one["low"] is not None else (None, None)
    ends = "–" if low is None or high is None else f"[{low:+z.3f}, {high:+z.3f}]"
    return [
        label(one["metric"]),
        f"{turn * one['value']:+z.3f}",
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
        if one["kind"] == "recovery" and one["better"] and one["ratio_low"] is not None and one["ratio_low"] > 1:
            return "better, and now above base"
        return "changed" if one["better"] is None else "better" if one["better"] else "worse"
    if not one["detectable"]:
        return "no difference shown"
    return f"no difference shown; one of {one['detectable']:.3f} would have shown"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"
