"""The page's figures as inline SVG, the same bytes for the same numbers, in the page's own colours.

Drawn by matplotlib with stand-in colours, which become CSS variables afterwards, so that the style sheet handles light,
dark and print; text stays text, in the page's font.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

# Stand-in colour → CSS variable. matplotlib writes colours as #rrggbb, so each must be unlike any other.
MARKERS = {"base": "o", "tuned": "s", "replayed": "D", "other": "^"}  # by the part a model plays
DASHES: list[Any] = [
    "-",
    (0, (5, 2)),
    (0, (1.5, 1.5)),
    (0, (5, 2, 1.5, 2)),
    (0, (9, 3)),
    (0, (3, 1, 1, 1, 1, 1)),
]  # of tasks
NAMES = "ink muted line good bad mended".split()
NAMES += [*(f"m-{part}" for part in MARKERS), *(f"task-{number}" for number in range(1, len(DASHES) + 1))]
COLOURS = {name: f"#{number:02x}{number + 1:02x}{number + 2:02x}" for number, name in enumerate(NAMES, 1)}
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "relearn",
    "font.size": 12.0,
    "axes.edgecolor": COLOURS["line"],
    "axes.labelcolor": COLOURS["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.6,
    "grid.alpha": 0.5,
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["line"],
    "ytick.color": COLOURS["line"],
    "xtick.labelcolor": COLOURS["ink"],
    "ytick.labelcolor": COLOURS["ink"],
    "path.simplify": False,
}


@dataclass(frozen=True)
class Spot:
    """A model in the learn-forget plot: a score and its interval along each axis; None where it has none.

    `part` is base, tuned, replayed or other.
    """

    model: str
    part: str
    old: float
    old_interval: tuple[float, float] | None
    new: float
    new_interval: tuple[float, float] | None


def draw_learn_forget(spots: Sequence[Spot], old_label: str, new_label: str) -> str:
    """New skill against old skill: one point a model, its 95% intervals as a cross, arrows in the order of training."""
    with rc_context(SETTINGS):
        figure, axes = _figure(5.6, 4.3)
        for before, after in pairwise(spot for spot in spots if spot.part != "other"):
            arrow = {
                "arrowstyle": "-|>", "color": COLOURS["muted"], "linewidth": 1.4, "mutation_scale": 16,
                "shrinkA": 9, "shrinkB": 9, "connectionstyle": "arc3,rad=0.12",
            }  # fmt: skip
            axes.annotate("", xy=(after.old, after.new), xytext=(before.old, before.new), arrowprops=arrow)
        middle = sum(spot.old for spot in spots) / len(spots)
        for spot in spots:
            colour = COLOURS[f"m-{spot.part}"]
            if spot.old_interval:
                axes.plot(spot.old_interval, [spot.new, spot.new], color=colour, linewidth=2)
            if spot.new_interval:
                axes.plot([spot.old, spot.old], spot.new_interval, color=colour, linewidth=2)
            axes.plot(
                [spot.old], [spot.new], marker=MARKERS[spot.part], color=colour, markersize=9, ls="", clip_on=False
            )
            at_axis = 0 <= spot.old < max(other.old for other in spots) / 6
            left = spot.old < middle and not at_axis  # labels are outside, arrows inside
            lower = any(_near(spot, other, spots) and spot.new < other.new for other in spots)
            offset = (-12 if left else 12, -10 if lower else 10)
            side = "right" if left else "left"
            _label(axes, spot.model, (spot.old, spot.new), offset, f"m-{spot.part}", va="center", ha=side)
        axes.set_xlabel(f"{old_label} →")
        axes.set_ylabel(f"{new_label} →")
        axes.margins(0.2, 0.12)
        _start_at_zero(axes, [spot.old for spot in spots], [spot.new for spot in spots])
        return _svg(figure, "learn-forget")


def _start_at_zero(axes: Axes, xs: Sequence[float], ys: Sequence[float]) -> None:
    """Begins an axis at 0 where no value is below it, so that a length is to its axis as a change is to the score."""
    if min(xs, default=-1) >= 0:
        axes.set_xlim(left=0)
    if min(ys, default=-1) >= 0:
        axes.set_ylim(bottom=0)


def _near(one: Spot, other: Spot, spots: Sequence[Spot]) -> bool:
    """Whether two points are so close that their labels would meet."""
    wide = max(spot.old for spot in spots) - min(spot.old for spot in spots) or 1.0
    high = max(spot.new for spot in spots) - min(spot.new for spot in spots) or 1.0
    return one is not other and abs(one.old - other.old) < wide / 5 and abs(one.new - other.new) < high / 8


def draw_losses(
    rounds: Mapping[str, Sequence[Mapping[str, float | None]]], tasks: Sequence[str], parts: Mapping[str, str]
) -> str:
    """Held-out loss of each task against the update, the rounds one after the other; `parts` is by model."""
    with rc_context(SETTINGS):
        figure, axes = _figure(5.6, 3.8)
        start = 0.0
        ends: dict[str, tuple[float, float, str]] = {}
        for position, (model, rows) in enumerate(rounds.items()):
            last = max((row["step"] or 0.0 for row in rows), default=0.0)
            for place, task in enumerate(tasks):
                points = [(start + (row["step"] or 0.0), row[task]) for row in rows if row.get(task) is not None]
                if not points:
                    continue
                xs, ys = zip(*points, strict=True)
                style = place % len(DASHES)
                axes.plot(xs, ys, color=COLOURS[f"task-{style + 1}"], linestyle=DASHES[style], linewidth=2)
                ends[task] = (xs[-1], ys[-1], f"task-{style + 1}")
            if position:
                axes.axvline(start, color=COLOURS["muted"], linewidth=1)
            at, above = (start + last / 2, 1), axes.get_xaxis_transform()
            _label(axes, f"round {model}", at, (0, 4), f"m-{parts[model]}", xycoords=above, ha="center")
            start += last
        heights = _apart(axes, [y for _, y, _ in ends.values()])
        for (task, (x, _, colour)), height in zip(ends.items(), heights, strict=True):
            _label(axes, task, (x, height), (6, 0), colour, va="center")
        axes.set_ylim(bottom=0)
        axes.set_xlim(0, start * 1.16 if start else 1)
        axes.set_xlabel("update")
        axes.set_ylabel("held-out loss (nats a token)")
        return _svg(figure, "losses")


def _apart(axes: Axes, heights: Sequence[float]) -> list[float]:
    """Label heights no closer than a line of text, in the order given."""
    low, high = axes.get_ylim()
    gap = (high - low) * 0.065
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    placed = list(heights)
    for lower, upper in pairwise(order):
        placed[upper] = max(placed[upper], placed[lower] + gap)
    return placed


@dataclass(frozen=True)
class Mark:
    """A point of the frontier's plot, with its label."""

    model: str
    part: str
    x: float
    y: float
    label: str


def draw_frontier(marks: Sequence[Mark], line: Sequence[tuple[float, float]], x_label: str, y_label: str) -> str:
    """Every mark, and a staircase through the frontier's points from left to right."""
    with rc_context(SETTINGS):
        figure, axes = _figure(6.8, 4.8)
        if line:
            xs, ys = zip(*line, strict=True)
            axes.step(xs, ys, where="post", color=COLOURS["muted"], linewidth=1.4, linestyle="--")
        for part in dict.fromkeys(mark.part for mark in marks):
            own = [mark for mark in marks if mark.part == part]
            axes.plot(
                [mark.x for mark in own], [mark.y for mark in own],
                marker=MARKERS[part], ls="", markersize=8, color=COLOURS[f"m-{part}"], clip_on=False,
            )  # fmt: skip
        for mark in marks:
            text = f"{mark.model} {mark.label}"
            _label(axes, text, (mark.x, mark.y), (8, 6), f"m-{mark.part}", weight="normal", fontsize=10)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.margins(x=0.16, y=0.1)
        _start_at_zero(axes, [mark.x for mark in marks], [mark.y for mark in marks])
        return _svg(figure, "frontier")


@dataclass(frozen=True)
class Stop:
    """A place on a path: a value along each axis, its interval where one is drawn, and what it is called."""

    x: float
    y: float
    label: str = ""
    across: tuple[float, float] | None = None
    up: tuple[float, float] | None = None


@dataclass(frozen=True)
class Walk:
    """A path through stops, by its name; `mark` is a place on it that counts."""

    name: str
    stops: Sequence[Stop]
    mark: Stop | None = None


def draw_walks(walks: Sequence[Walk], x_label: str, y_label: str, name: str) -> str:
    """Every path with its intervals, its name at its end, a dash and a colour each. `name` is the figure's own."""
    with rc_context(SETTINGS):
        figure, axes = _figure(5.6, 4.2)
        ends = []
        for place, walk in enumerate(walks):
            style = place % len(DASHES)
            colour = f"task-{style + 1}"
            xs, ys = [stop.x for stop in walk.stops], [stop.y for stop in walk.stops]
            axes.plot(
                xs,
                ys,
                color=COLOURS[colour],
                linestyle=DASHES[style],
                linewidth=2,
                marker="o",
                markersize=3.5,
                clip_on=False,
            )
            for stop, width in [*((stop, 1.0) for stop in walk.stops), *([(walk.mark, 3.0)] if walk.mark else [])]:
                if stop.across:
                    axes.plot(stop.across, [stop.y, stop.y], color=COLOURS[colour], linewidth=width)
                if stop.up:
                    axes.plot([stop.x, stop.x], stop.up, color=COLOURS[colour], linewidth=width)
                if stop.label:
                    _label(axes, stop.label, (stop.x, stop.y), (-5, 6), "muted", "normal", fontsize=9, ha="right")
            if walk.mark:
                axes.plot([walk.mark.x], [walk.mark.y], marker="D", markersize=8, ls="", color=COLOURS[colour])
            ends.append((xs[-1], ys[-1], colour, walk.name))
        heights = _apart(axes, [y for _, y, _, _ in ends])
        for (x, _, colour, text), height in zip(ends, heights, strict=True):
            _label(axes, text, (x, height), (8, 0), colour, va="center")
        axes.axvline(0, color=COLOURS["muted"], linewidth=1)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.margins(x=0.2, y=0.1)
        _start_at_zero(axes, [], [stop.y for walk in walks for stop in walk.stops])
        return _svg(figure, name)


@dataclass(frozen=True)
class Stream:
    """A share of the texts in the repair figure: how many, what became of them, and the colour that says so."""

    label: str
    count: int
    colour: str


def draw_flow(source: str, streams: Sequence[Stream]) -> str:
    """From the raw texts on the left to what became of them on the right, widths as counts."""
    with rc_context(SETTINGS):
        figure, axes = _figure(6.4, max(2.6, 0.62 * len(streams) + 0.8))
        axes.axis("off")
        total = sum(stream.count for stream in streams) or 1
        gap = 0.09
        height = 1 + gap * (len(streams) - 1)
        left, right = (height - 1) / 2 + 1, height
        axes.add_patch(_ribbon(0.02, left, 0.035, left, 1.0, "ink"))
        for stream in streams:
            width = stream.count / total
            axes.add_patch(_ribbon(0.035, left, 0.5, right, width, stream.colour, alpha=0.55))
            text = f"{stream.count:,d}  {stream.label}"
            axes.text(0.52, right - width / 2, text, va="center", color=COLOURS["ink"])
            left -= width
            right -= width + gap
        axes.text(0.02, height + 0.06, source, va="bottom", weight="bold")
        axes.set_xlim(0, 1)
        axes.set_ylim(-0.05, height + 0.2)
        return _svg(figure, "flow")


def _ribbon(x: float, top: float, at: float, right: float, width: float, colour: str, alpha: float = 1.0) -> PathPatch:
    """A band of constant width from (x, top) to (at, right), in a smooth curve."""
    middle = (x + at) / 2
    points = [
        (x, top), (middle, top), (middle, right), (at, right),
        (at, right - width), (middle, right - width), (middle, top - width), (x, top - width), (x, top),
    ]  # fmt: skip
    codes = [Outline.MOVETO, *[Outline.CURVE4] * 3, Outline.LINETO, *[Outline.CURVE4] * 3, Outline.CLOSEPOLY]
    return PathPatch(Outline(points, codes), facecolor=COLOURS[colour], alpha=alpha, linewidth=0)


def _label(
    axes: Axes,
    text: str,
    at: tuple[float, float],
    offset: tuple[float, float],
    colour: str,
    weight: str = "bold",
    **more: Any,
) -> None:
    """A text `offset` points from a place."""
    axes.annotate(text, at, xytext=offset, textcoords="offset points", color=COLOURS[colour], weight=weight, **more)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure: Figure, name: str) -> str:
    """The figure as an <svg> element: no date, ids of its own, colours as CSS variables, scaled by its box."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    for colour, stand_in in COLOURS.items():
        text = text.replace(stand_in, f"var(--{colour})")
    text = re.sub(r"font-family: [^;\"]+", "font-family: var(--font)", text)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)  # it would style the whole page
    opening = re.match(r"<svg[^>]*>", text)
    assert opening is not None
    box = re.search(r'viewBox="[^"]+"', opening[0])
    assert box is not None
    rest = text[opening.end() :].strip().replace("xlink:href", "href")
    return f'<svg {box[0]} class="figure" aria-hidden="true" focusable="false">{rest}'
