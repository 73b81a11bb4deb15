"""Methods at equal new skill, for people: a table, and a plot for each old task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from tabulate import tabulate

from relearn.evaluation.curve import Curve
from relearn.evaluation.equal_skill import SHARE, AtEqualSkill, Loss
from relearn.evaluation.seeds import claim
from relearn.report import figures
from relearn.report.words import Words
from relearn.statistics.significance import LEVEL


def table_heads(found: Sequence[AtEqualSkill], words: Words) -> list[str]:
    """The method, what it learns at λ = 1, where it has the target, and two columns an old task."""
    old = [loss.task for loss in found[0].losses]
    return [
        *("method", "seeds", "learned at λ = 1", f"λ at {SHARE:.0%}"),
        *(head for task in old for head in (f"{words.label(task)} lost", f"than {found[0].method}")),
    ]


def table_rows(found: Sequence[AtEqualSkill]) -> list[list[str]]:
    """A row a method; ▲ and ▼ mark those that lose significantly less and more than the first."""
    rows = []
    for one in found:
        factors = [factor for factor in one.factors.values() if factor is not None]
        where = _span(factors) if one.reaches else f"never reaches it ({len(factors)} of {len(one.factors)} seeds)"
        if one.reaches and one.missed:
            where += f"; not in {one.missed:.1%} of resamples"
        cells = [cell for loss in one.losses for cell in (_lost(loss), _more(loss))]
        rows.append([one.method, ", ".join(map(str, one.factors)), f"{one.gained:.0%}", where, *cells])
    return rows


def _span(factors: Sequence[float]) -> str:
    low, high = f"{min(factors):.2f}", f"{max(factors):.2f}"
    return low if low == high else f"{low} to {high}"


def _lost(loss: Loss) -> str:
    return "–" if math.isnan(loss.lost) else f"{loss.lost:+.3f}{_ends(loss.low, loss.high)}"


def _more(loss: Loss) -> str:
    if math.isnan(loss.more):
        return "–"
    sure = not math.isnan(loss.p_holm) and loss.p_holm <= LEVEL
    mark = (" ▲" if loss.more < 0 else " ▼") if sure else ""
    p = "–" if math.isnan(loss.p_holm) else "< 0.001" if loss.p_holm < 0.001 else f"{loss.p_holm:.3f}"
    return f"{loss.more:+.3f}{_ends(loss.more_low, loss.more_high)} p {p}{mark}"


def _ends(low: float, high: float) -> str:
    if math.isnan(low) or math.isnan(high):
        return ""
    return f" [{'−∞' if math.isinf(low) else f'{low:+.3f}'}, {'∞' if math.isinf(high) else f'{high:+.3f}'}]"


def say(found: Sequence[AtEqualSkill]) -> str:
    """What the table's numbers mean."""
    fewest = min(len(one.factors) for one in found)
    return (
        f"Each method is taken at the smallest λ, the factor of its change, at which it has {SHARE:.0%} of what {found[0].method} gains at "
        "λ = 1; its losses of the old skills there are in bits per byte; above 0 is a loss. Brackets: 95% intervals over clusters, the "
        "target is found anew in every resample, and methods are paired. p is after Holm's correction over the methods within an old task; "
        f"▲ loses less than {found[0].method}, ▼ more, p ≤ {LEVEL:g}. The claim is about {claim(fewest)}."
    )


def markdown(found: Sequence[AtEqualSkill], words: Words) -> str:
    """The table, and what its numbers mean."""
    table = tabulate(table_rows(found), table_heads(found, words), tablefmt="github", disable_numparse=True)
    return f"{table}\n\n{say(found)}\n"


def draw(
    found: Sequence[AtEqualSkill], methods: Mapping[str, Mapping[int, Curve]], words: Words
) -> list[tuple[str, Markup]]:
    """(old task, plot): every method's curve, of its first seed, and its loss at equal new skill with the interval."""
    known = [task.name for task in words.tasks if task.is_new]
    plots = []
    for place, loss in enumerate(found[0].losses):
        walks, height = [], 0.0
        for one in found:
            curve = methods[one.method][next(iter(one.factors))]
            new = [curve.tasks[task].points() for task in known if task in curve.tasks]
            gains = np.mean([points[0] - points for points in new], axis=0)
            old = curve.tasks[loss.task].points()
            height = height or SHARE * float(gains[curve.tuned])  # of the first method, whose gain is the target
            stops = [figures.Stop(float(x), float(y)) for x, y in zip(old - old[0], gains, strict=True)]
            walks.append(figures.Walk(one.method, stops, _mark(one.losses[place], height)))
        x_label, y_label = (
            f"{words.label(loss.task)} lost, bits per byte →",
            f"gained: {words.labels(known)}, bits per byte →",
        )
        plots.append((loss.task, Markup(figures.draw_walks(walks, x_label, y_label, f"equal-{place}"))))
    return plots


def _mark(loss: Loss, height: float) -> figures.Stop | None:
    if math.isnan(loss.lost):
        return None
    ends = (loss.low, loss.high) if math.isfinite(loss.low) and math.isfinite(loss.high) else None
    return figures.Stop(loss.lost, height, across=ends)
