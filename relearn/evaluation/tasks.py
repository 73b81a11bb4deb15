"""One model on one task: every metric that applies, with the scores of every item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from relearn.metrics.code.find import holds_code
from relearn.metrics.metric import Column, all_metrics
from relearn.params.evaluate import Scoring
from relearn.records import Prediction
from relearn.statistics.scores import Direction, Scores

# What a task's numbers in metrics/eval_3a are, in this order; the first that is there is the task's headline, from
# which `forgotten` and `recovered` are taken. Everything else is in metrics/intervals.json.
ANY_TEXT = ("codebleu", "pass_at_1", "rouge_l", "bertscore", "bleu", "exact_match", "code_rate", "bpb")
POINTS: dict[str, tuple[str, ...]] = {
    "code": ("codebleu", "pass_at_1", "code_rate", "exact_match", "rouge_l", "bertscore", "bleu", "bpb"),
    "reviews": ("rouge_l", "bertscore", "bleu", "stance", "code_rate", "bpb"),
    "general": ("rouge_l", "bertscore", "bleu", "exact_match", "bpb"),
    # Somebody's own data, code or not (relearn.compare): whatever of this applies.
    "old": ANY_TEXT,
    "new": ANY_TEXT,
}


@dataclass(frozen=True)
class TaskScores:
    """The scores of one model on one task; the arrays of `scores` and `ids`, `groups` run over the same items."""

    task: str
    ids: list[str]
    groups: list[str]
    scores: dict[str, Scores]
    counts: dict[str, float]
    signatures: dict[str, dict[str, Any]]

    def points(self) -> dict[str, float]:
        """Every value by name; those that no item counts for are left out."""
        return {name: scores.point for name, scores in self.scores.items() if scores.items}


def choose_metrics(task: str, references: Sequence[str | None], execute: str = "off") -> dict[str, Direction]:
    """The metrics of a task, and whether more of each is better there."""
    coding = task == "code" or (task in ("old", "new") and mostly_code(references))
    names = ["code_rate", "bleu", "chrf", "rouge_l", "bertscore", "exact_match", "bpb"]
    if task == "reviews":
        names.insert(1, "stance")
    if coding:
        names.insert(-1, "codebleu")
    if execute != "off":
        names.append("pass_at_1")
    found = {name: all_metrics()[name].better for name in names}
    # Code in a reply to a review, or in a poem, is neither good nor bad.
    return found if coding else found | {"code_rate": "neither"}


def score_task(
    task: str,
    predictions: Sequence[Prediction],
    tests: Mapping[str, list[str]],
    params: Scoring,
    metrics: Mapping[str, Direction] | None = None,
) -> TaskScores:
    """Scores the predictions of one model on one task, with `metrics` or else what `choose_metrics` says.

    `tests` are the asserts of a row by its id; rows without any are left out of pass@1. Rows without a reference get
    the metrics that need none. Raises InputError when BERTScore's encoder cannot be loaded, or when `strict`
    execution finds no bubblewrap.
    """
    if metrics is None:
        metrics = choose_metrics(task, [row.reference for row in predictions], params.execute)
    columns: dict[Column, list[Any]] = {
        "predictions": [row.prediction for row in predictions],
        "references": [row.reference or None for row in predictions],
        "prompts": [row.prompt for row in predictions],
        "tests": [tests.get(row.id) or None for row in predictions],
        "nll": [row.nll for row in predictions],
        "bytes": [row.bytes or None for row in predictions],
    }
    items = range(len(predictions))
    counts: dict[str, float] = {"items": len(items), "with_reference": len(items) - columns["references"].count(None)}
    found: dict[str, Scores] = {}
    signatures: dict[str, dict[str, Any]] = {}
    for name, better in metrics.items():
        metric = all_metrics()[name]
        where = [index for index in items if all(columns[need][index] is not None for need in metric.needs)]
        if not where:
            continue
        if "tests" in metric.needs:
            counts["with_tests"] = len(where)
        read = {column: [columns[column][index] for index in where] for column in metric.reads}
        measured = metric.measure(read, params)
        counts.update(measured.counts)
        signature = metric.signature(params)
        for scores in measured.scores:
            found[scores.name] = replace(scores.spread(where, len(items)), better=better)
            signatures[scores.name] = signature
    order = [*POINTS.get(task, ()), *sorted(found)]
    return TaskScores(
        task=task,
        ids=[row.id for row in predictions],
        groups=[row.group for row in predictions],
        scores={name: found[name] for name in dict.fromkeys(order) if name in found},
        counts=counts,
        signatures=signatures,
    )


def mostly_code(references: Sequence[str | None]) -> bool:
    """Whether at least half of the references that are there hold code."""
    present = [reference for reference in references if reference]
    return 2 * sum(map(holds_code, present)) >= len(present) > 0
