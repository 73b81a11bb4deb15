"""The learn-forget curve for people: a table, a plot, and which factor keeps what the user asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from tabulate import tabulate

from relearn.report import figures
from relearn.report.words import Words
from relearn.statistics.resampling import FEW_CLUSTERS

EXPORT = "python -m stages.export --scale {factor}"  # writes a model of the pipeline's curve
SHOWN = (0.25, 0.5, 0.75, 1.0, 1.5)  # the factors that the plot names


def table_heads(found: Mapping[str, Any], words: Words) -> list[str]:
    """λ, and a column a task: new ones first."""
    return ["λ", *(f"{words.label(task)}: {_head(found, task)}" for task in _order(found))]


def table_rows(found: Mapping[str, Any], words: Words) -> list[list[str]]:
    """A row a factor: bits per byte with its interval, then what of it was learned, or what was lost with its interval."""
    rows = []
    for place, factor in enumerate(found["factors"]):
        name = {0: f" ({words.roles.base})", 1: f" ({words.roles.tuned})"}.get(factor, "")
        points = {task: found["tasks"][task]["points"][place] for task in _order(found)}
        cells = [_cell(point, found["tasks"][task]["role"] == "new", factor) for task, point in points.items()]
        rows.append([f"{factor:g}{name}", *cells])
    return rows


def _order(found: Mapping[str, Any]) -> list[str]:
    return sorted(found["tasks"], key=lambda task: found["tasks"][task]["role"] != "new")


def _head(found: Mapping[str, Any], task: str) -> str:
    new = found["tasks"][task]["role"] == "new"
    return "bits per byte ↓, learned" if new else "bits per byte ↓, lost"


def _cell(point: Mapping[str, Any], new: bool, factor: float) -> str:
    text = f"{point['value']:.3f}{write_ends(point['low'], point['high'], '.3f')}"
    if factor == 0:
        return text
    if new:
        return text if point["share"] is None else f"{text}; {point['share']:.0%}"
    return f"{text}; {point['change']:+.3f}{write_ends(point['change_low'], point['change_high'], '+.3f')}"


def write_ends(low: float | None, high: float | None, form: str) -> str:
    """An interval to go behind its number; nothing where JSON has none."""
    return "" if low is None or high is None else f" [{low:{form}}, {high:{form}}]"


def say_limit(found: Mapping[str, Any], words: Words, command: str = EXPORT) -> str | None:
    """A sentence that names the factor that keeps the limit, with the command that writes it; None without a limit.

    `command` holds `{factor}`.
    """
    limit = found.get("limit")
    if limit is None:
        return None
    most, stopped = f"{limit['most_lost']:.1%} of base's bits per byte", limit["stopped"]
    why = ""
    if stopped is not None:
        ends = write_ends(stopped["low"], stopped["high"], "+.1%")
        why = (
            f" At λ = {stopped['factor']:g} that is not proven for {words.label(stopped['task'])}, which loses "
            f"{stopped['ratio']:+.1%}{ends}."
        )
        if stopped["clusters"] < FEW_CLUSTERS:
            why += f" Its {stopped['clusters']} clusters of prompts are too few to prove anything; {FEW_CLUSTERS} may be enough."
    if not limit["factor"]:
        return f"No λ tried is proven to keep the loss of every old skill within {most}.{why}"
    return (
        f"λ = {limit['factor']:g} is the largest proven to lose at most {most} on every old skill.{why} "
        f"`{command.format(factor=format(limit['factor'], 'g'))}` writes that model."
    )


def markdown(found: Mapping[str, Any], words: Words, command: str = EXPORT) -> str:
    """The table, and the sentence on a limit."""
    table = tabulate(table_rows(found, words), table_heads(found, words), tablefmt="github", disable_numparse=True)
    said = say_limit(found, words, command)
    return f"{table}\n\n{NOTE}\n" + ("" if said is None else f"\n{said}\n")


NOTE = (
    "λ is the factor by which the change of the weights is scaled, without training. Brackets: 95% intervals over clusters. Learned: the share "
    "of what λ = 1 gains."
)


def draw(found: Mapping[str, Any], words: Words) -> Markup:
    """The mean gain on the new tasks against the loss of each old one, along λ; in bits per byte."""
    new = [task for task in found["tasks"] if found["tasks"][task]["role"] == "new"]
    old = [task for task in found["tasks"] if task not in new]
    if not new or not old:
        return Markup("")
    gains = [
        _mean_gain([found["tasks"][task]["points"][place] for task in new]) for place in range(len(found["factors"]))
    ]
    walks = []
    for task in old:
        stops = []
        for point, (gain, up) in zip(found["tasks"][task]["points"], gains, strict=True):
            label = f"λ {point['factor']:g}" if point["factor"] in SHOWN and task == old[0] else ""
            across = _pair(point["change_low"], point["change_high"])
            stops.append(
                figures.Stop(
                    point["change"],
                    gain,
                    label,
                    across if point["factor"] else None,
                    up if task == old[0] and point["factor"] else None,
                )
            )
        walks.append(figures.Walk(words.label(task), stops))
    x_label, y_label = "lost of the old skill, bits per byte →", f"gained: {words.labels(new)}, bits per byte →"
    return Markup(figures.draw_walks(walks, x_label, y_label, "curve"))


def _mean_gain(points: Sequence[Mapping[str, Any]]) -> tuple[float, tuple[float, float] | None]:
    """The tasks' samples are independent, so the squares of the intervals' arms add up (Zou & Donner 2008)."""
    gain = -sum(point["change"] for point in points) / len(points)
    pairs = [_pair(point["change_low"], point["change_high"]) for point in points]
    arms = [
        (pair[1] - point["change"], point["change"] - pair[0])
        for pair, point in zip(pairs, points, strict=True)
        if pair
    ]
    if len(arms) < len(points):
        return gain, None
    below, above = (math.hypot(*side) / len(points) for side in zip(*arms, strict=True))
    return gain, (gain - below, gain + above)


def _pair(low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (low, high)


def list_parts(found: Mapping[str, Any], words: Words, command: str = EXPORT) -> dict[str, Any]:
    """What the template curve.j2 shows."""
    return {
        "figure": draw(found, words),
        "heads": table_heads(found, words),
        "rows": table_rows(found, words),
        "said": say_limit(found, words, command),
        "note": NOTE,
    }
