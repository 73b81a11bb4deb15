"""Human ratings beside the machine's metrics: their means join the points, the intervals and the table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relearn.evaluation.ratings import ASPECTS, Given, measure_agreement, summarise

if TYPE_CHECKING:
    from relearn.evaluation.models import Evaluation

HUMAN = "human"  # in the table, in place of a task's name
SIDES = (-1, 0, 1)  # which of two answers is preferred: the first, neither, the other


def join(found: Evaluation, given: Given, resamples: int, seed: int) -> int:
    """Adds `human` to the points of each rated model, to the intervals, and rows to the table; changes `found`.

    Ratings whose key names no model (their answers no longer exist) are left out; returns how many. Raters who
    failed an attention check count in `apart` alone, a summary of its own. Nothing is added when nothing is left.
    """
    models = list(found.points)
    known, apart = (
        [rating for rating in given.of(inattentive).ratings if rating.model in models] for inattentive in (False, True)
    )
    stale = len(given.ratings) - len(known) - len(apart)
    if not known and not apart:
        return stale
    summary = summarise(known, resamples, seed)
    found.intervals[HUMAN] = {**summary, "left_out": stale}
    if apart:
        found.intervals[HUMAN]["apart"] = summarise(apart, resamples, seed)
    for model in models:
        scores = summary["models"].get(model)
        if scores is None:
            continue
        found.points[model][HUMAN] = {
            aspect: scores[aspect]["value"] for aspect in ASPECTS if scores[aspect]["value"] is not None
        }
        found.rows.extend(
            {
                "model": model,
                "task": HUMAN,
                "metric": aspect,
                **{end: scores[aspect][end] for end in ("value", "low", "high")},
                "mark": "",
            }
            for aspect in ASPECTS
        )
    return stale


def compare_with_judge(
    judged: Mapping[tuple[str, str, str], int], given: Given, resamples: int, seed: int
) -> dict[str, Any] | None:
    """How far people agree with a judge, and with each other, on the pairs that both looked at; None where none is.

    `judged` maps (prompt, before, after) to 1, 0 or -1, as `judged.preferences`. A rater prefers the answer that was
    chosen of the pair, else the one with the higher sum of both scores; people together prefer what most of them do.
    Raters who failed an attention check are left out. `{"pairs", "raters", "alpha", "low", "high", "people": {…}}`:
    Krippendorff's alpha (2011), ordinal, of the judge and people together, and between the raters.
    """
    units = _side_of_each(judged, given.of(inattentive=False))
    if not units:
        return None
    together = []
    for unit, sides in sorted(units.items()):
        total = sum(sides.values())
        together.append({"judge": judged[unit], "people": (total > 0) - (total < 0)})
    people = [sides for _, sides in sorted(units.items())]
    found = measure_agreement(together, SIDES, resamples, seed)
    return {
        "pairs": found.pop("units"),
        "raters": len({rater for sides in people for rater in sides}),
        **found,
        "people": measure_agreement(people, SIDES, resamples, seed),
    }


def _side_of_each(
    judged: Mapping[tuple[str, str, str], int], given: Given
) -> dict[tuple[str, str, str], dict[str, int]]:
    """By judged pair, which side each rater takes."""
    chosen: dict[tuple[str, str, str], dict[str, int]] = defaultdict(dict)
    for one in given.preferences:
        chosen[one.item, one.model, one.other][one.rater] = one.prefers
        chosen[one.item, one.other, one.model][one.rater] = -one.prefers
    scores: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for rating in given.ratings:
        if rating.helpfulness is not None and rating.correctness is not None:
            scores[rating.item, rating.model][rating.rater] = rating.helpfulness + rating.correctness
    found = {}
    for item, before, after in judged:
        first, second = scores.get((item, before), {}), scores.get((item, after), {})
        sides = {
            rater: (second[rater] > first[rater]) - (second[rater] < first[rater]) for rater in first if rater in second
        }
        sides |= chosen.get((item, before, after), {})
        if sides:
            found[item, before, after] = sides
    return found
