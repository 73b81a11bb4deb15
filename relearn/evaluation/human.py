"""Human ratings beside the machine's metrics: their means join the points, the intervals and the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from relearn.evaluation.ratings import ASPECTS, Rating, summarise

if TYPE_CHECKING:
    from relearn.evaluation.models import Evaluation

HUMAN = "human"  # stands in the table where a task's name stands


def join(found: Evaluation, given: Sequence[Rating], resamples: int, seed: int) -> int:
    """Adds `human` to the points of each rated model, to the intervals, and rows to the table; changes `found`.

    Ratings whose key names no model (their answers do not stand any more) are left out; returns how many. Nothing
    is added when none is left.
    """
    models = list(found.points)
    known = [rating for rating in given if rating.model in models]
    stale = len(given) - len(known)
    if not known:
        return stale
    summary = summarise(known, resamples, seed)
    found.intervals[HUMAN] = {**summary, "left_out": stale}
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
