"""compare.html: one file in the report's look, for people without a pipeline. Jinja escapes all that a log says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.resources import files

from jinja2 import Environment, PackageLoader

from relearn.compare.logs.changes import MetricChange
from relearn.compare.logs.result import Result, in_words
from relearn.compare.logs.text import HEADS, SAID, cells
from relearn.escaping import shown
from relearn.statistics.resampling import FEW_CLUSTERS

MOST = 2_000  # rows of a table
PLOTTED = 40
WIDTH, LEFT, LINE = 720, 260, 22


def render(result: Result) -> str:
    """The page. It loads nothing and runs nothing."""
    environment = Environment(
        loader=PackageLoader("relearn.compare.logs", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["shown"] = shown
    return environment.get_template("compare.html.j2").render(
        result=result,
        style=(files("relearn") / "report" / "templates" / "style.css").read_text(encoding="utf-8"),
        heads=HEADS,
        cells=cells,
        in_words=in_words,
        said=SAID,
        most=MOST,
        advice=advise(result),
        plots=[
            plot([change for change in one.changes if change.primary and change.before]) for one in result.comparisons
        ],
    )


def advise(result: Result) -> list[str]:
    """What to do next, from what was found."""
    changes = [change for change in result.comparisons[0].changes if change.kind == "task" and change.primary]
    found = []
    if any(change.differ for change in changes):
        found.append(
            "Run both evaluations with the same prompts, few-shot examples, chat template and generation settings: some tasks cannot be compared now."
        )
    found += [
        f"For a decision on {ruling.metric} of {ruling.task}, draw a new sample of about {ruling.samples_to_decide:,}; do not add to this one until it decides."
        for ruling in result.rulings
        if ruling.samples_to_decide
    ]
    found += [
        f"Read the {change.worse:,} samples of {change.task} that became worse: samples.parquet and the tool's own log have them."
        for change in changes
        if change.changed and change.direction < 0
    ]
    if any(change.clusters < change.samples and change.clusters < FEW_CLUSTERS for change in changes):
        found.append("A few clusters say little: add clusters; more samples of the same clusters hardly help.")
    return found[:PLOTTED] or [
        "Nothing: no task is significantly worse. This does not prove that nothing was lost; a gate (--require-within) can."
    ]


def plot(changes: Sequence[MetricChange]) -> dict[str, object]:
    """Where each interval lies, in pixels, on one scale: the change over base's score, better on the right.

    What is more than twice base's score is drawn at the edge.
    """
    middle, room = (LEFT + WIDTH) / 2, (WIDTH - LEFT - 40) / 2
    shares = []
    for change in changes[:PLOTTED]:
        scale = (1 if change.better == "higher" else -1) / abs(change.before)
        low, high = sorted((scale * change.low, scale * change.high))
        shares.append((scale * change.difference, low, high))
    reach = min(1.0, max((abs(end) for row in shares for end in row if not math.isnan(end)), default=1.0) or 1.0)

    def place(value: float) -> float:
        return round(middle + max(-1.0, min(1.0, value / reach)) * room, 1)

    rows = [
        {
            "label": shown(f"{change.task} {change.metric}")[:44],
            "y": LINE * (index + 1),
            "low": place(low),
            "high": place(high),
            "point": place(point),
            "color": ("good" if change.direction > 0 else "bad") if change.changed else "muted",
            "words": in_words(change),
        }
        for index, (change, (point, low, high)) in enumerate(zip(changes, shares, strict=False))
        if not math.isnan(low + high)
    ]
    ticks = [(place(share), f"{share:+.0%}" if share else "0") for share in (-reach, 0.0, reach)]
    return {"rows": rows, "ticks": ticks, "height": LINE * (len(shares) + 2), "width": WIDTH}
