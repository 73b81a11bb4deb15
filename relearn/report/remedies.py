"""Methods at equal new skill, for people: tables, and a plot for each old task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from tabulate import tabulate

from relearn.evaluation.curve import Curve
from relearn.evaluation.equal_answers import AnswerScore
from relearn.evaluation.equal_skill import SHARE, AtEqualSkill, Loss
from relearn.evaluation.seeds import ENOUGH, claim
from relearn.report import figures
from relearn.report.words import Words, join
from relearn.statistics.significance import LEVEL


def table_heads(found: Sequence[AtEqualSkill], words: Words) -> list[str]:
    """The method, its training's time, what it learns at λ = 1, where it has the target, and two columns an old task."""
    old = [loss.task for loss in found[0].losses]
    return [
        *("method", "seeds", "time", "learned at λ = 1", f"λ at {SHARE:.0%}"),
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
        cells = [cell for loss in one.losses for cell in (_lost(loss), _more(loss, loss.more < 0))]
        time = "–" if one.time is None else f"{one.time:.2f}×"
        rows.append([one.method, ", ".join(map(str, one.factors)), time, f"{one.gained:.0%}", where, *cells])
    return rows


def _span(factors: Sequence[float]) -> str:
    low, high = f"{min(factors):.2f}", f"{max(factors):.2f}"
    return low if low == high else f"{low} to {high}"


def _lost(loss: Loss) -> str:
    return "–" if math.isnan(loss.lost) else f"{loss.lost:+.3f}{_ends(loss.low, loss.high)}"


def _more(one: Loss | AnswerScore, better: bool | None) -> str:
    if math.isnan(one.more):
        return "–"
    sure = not math.isnan(one.p_holm) and one.p_holm <= LEVEL
    mark = (" ◆" if better is None else " ▲" if better else " ▼") if sure else ""
    p = "–" if math.isnan(one.p_holm) else "< 0.001" if one.p_holm < 0.001 else f"{one.p_holm:.3f}"
    return f"{one.more:+.3f}{_ends(one.more_low, one.more_high)} p {p}{mark}"


def _ends(low: float, high: float, form: str = "+.3f") -> str:
    if math.isnan(low) or math.isnan(high):
        return ""
    return f" [{'−∞' if math.isinf(low) else f'{low:{form}}'}, {'∞' if math.isinf(high) else f'{high:{form}}'}]"


def say(found: Sequence[AtEqualSkill]) -> str:
    """What the table's numbers mean."""
    return (
        f"Each method is taken at the smallest λ, the factor of its change, at which it has {SHARE:.0%} of what {found[0].method} gains at "
        "λ = 1; its losses of the old skills there are in bits per byte; above 0 is a loss. Time is that of training, as a multiple of "
        f"{found[0].method}'s, counted in passes; what is done once before the first update is not in it. Brackets: 95% intervals over clusters, the "
        "target is found anew in every resample, and methods are paired. p is after Holm's correction over the methods within an old task; "
        f"▲ loses less than {found[0].method}, ▼ more, p ≤ {LEVEL:g}. {_say_seeds(found)}"
    )


def _say_seeds(found: Sequence[AtEqualSkill]) -> str:
    """What the claims are about; with chosen methods, rows rest on different seeds."""
    chosen = [one.method for one in found if one.chosen_by]
    if not chosen:
        return f"The claim is about {claim(min(len(one.factors) for one in found))}."
    seeds = sorted({number for one in found for number in one.chosen_by})
    return (
        f"A row's claim is about the checkpoints of its own seeds (from {ENOUGH} on, about the method), held against the same seeds of "
        f"{found[0].method}. {join(chosen)} got further seeds for what training with seed {join(list(map(str, seeds)))} did on validation rows, "
        "so the claim leaves that seed out."
    )


def markdown(found: Sequence[AtEqualSkill], words: Words) -> str:
    """The table, and what its numbers mean."""
    table = tabulate(table_rows(found), table_heads(found, words), tablefmt="github", disable_numparse=True)
    answers = list_answers(found, words)
    if answers is None:
        return f"{table}\n\n{say(found)}\n"
    beside = tabulate(answers["rows"], answers["heads"], tablefmt="github", disable_numparse=True)
    return f"{table}\n\n{say(found)}\n\n{beside}\n\n{answers['said']}\n"


def list_answers(found: Sequence[AtEqualSkill], words: Words) -> dict[str, Any] | None:
    """The table of the answers at equal new skill: heads, rows and what they mean; None where no method is compared by them."""
    chosen = [one for one in found if one.answers is not None]
    if not chosen:
        return None
    scores = max((one.answers.scores for one in chosen if one.answers), key=len)
    heads = [
        *("method", "λ"),
        *(
            head
            for one in scores
            for head in (f"{words.label(one.task)}: {words.metric(one.metric)}", f"than {found[0].method}")
        ),
    ]
    said = (
        "By their answers: methods whose loss is not the likelihood, each at the λ at which its main seed is at equal new skill (rounded to 1/100), by the "
        f"headline metric of each task. Differences from {found[0].method}, which answers at its own λ, are paired over prompts; brackets are 95% "
        f"intervals over clusters, p is after Holm's correction over the methods within a task; ▲ better, ▼ worse, p ≤ {LEVEL:g}. The claim is "
        f"about {claim(1)}."
    )
    return {"heads": heads, "rows": [_answer_row(one, len(scores)) for one in chosen], "said": said}


def _answer_row(one: AtEqualSkill, tasks: int) -> list[str]:
    factor, scores = (one.answers.factor, one.answers.scores) if one.answers else (None, [])
    if factor is None:
        return [one.method, "never reaches it", *["–"] * 2 * tasks]
    if not scores:
        return [one.method, f"{factor:g}, not decoded (`make remedies`)", *["–"] * 2 * tasks]
    cells = [
        cell for score in scores
        for cell in (f"{score.value:.3f}{_ends(score.low, score.high, '.3f')}", _more(score, score.better))
    ]  # fmt: skip
    return [one.method, f"{factor:g}", *cells]


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
