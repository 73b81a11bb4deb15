"""One model on one task: every metric that applies, with the scores of every item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from relearn.errors import InputError
from relearn.evaluation.checking import Checker
from relearn.evaluation.roles import ScoredTask
from relearn.metrics.code.find import holds_code
from relearn.metrics.metric import Column, all_metrics
from relearn.params.evaluate import Scoring
from relearn.reasoning import take_off_reasoning
from relearn.records import Prediction
from relearn.statistics.scores import Direction, Scores

# Scored on every task, listed or not: they cost little, and metrics/intervals.json has them.
STANDARD = ("code_rate", "bleu", "chrf", "rouge_l", "exact_match", "bpb")


@dataclass(frozen=True)
class TaskScores:
    """The scores of one model on one task; the arrays of `scores` and `ids`, `groups` run over the same items.

    `counts` has `cut`, the answers that the limit on tokens ended, and `reasoning`, those that held reasoning, which is not
    scored. `notes` say which texts a metric cannot see.
    """

    task: str
    ids: list[str]
    groups: list[str]
    scores: dict[str, Scores]
    counts: dict[str, float]
    signatures: dict[str, dict[str, Any]]
    notes: list[str] = field(default_factory=list)

    @property
    def cut_share(self) -> float:
        """The share of answers that ended at the limit."""
        return self.counts["cut"] / len(self.ids) if self.ids else 0.0

    def points(self) -> dict[str, float]:
        """Every value by name; those that no item counts for are left out."""
        return {name: scores.point for name, scores in self.scores.items() if scores.items}


def choose_metrics(
    listed: Sequence[str], references: Sequence[str | None], execute: str = "off"
) -> dict[str, Direction]:
    """The metrics to score, those listed and the standard ones, and whether more of each is better there.

    Those that run programs come last, and are left out where `execute` is off. Code in an answer counts for the
    better only where the references mostly hold code: in a poem it is neither good nor bad. Raises InputError for a
    name that no metric has.
    """
    known = all_metrics()
    for name in listed:
        if name not in known:
            raise InputError(f"unknown metric {name}; there are {', '.join(known)}")
    *standard, last = STANDARD
    names = [*standard, *(name for name in listed if name not in STANDARD), last]
    names.sort(key=lambda name: "execute" in known[name].options)
    found = {name: known[name].better for name in names if execute != "off" or "execute" not in known[name].options}
    return found if mostly_code(references) else found | {"code_rate": "neither"}


def metrics_for(references: Sequence[str | None]) -> tuple[str, ...]:
    """What is worth listing for texts of which nothing is known, code or not; CodeBLEU where they are mostly code."""
    text = ("pass_at_1", "rouge_l", "bertscore", "bleu", "chrf", "exact_match", "code_rate", "bpb")
    return ("codebleu", *text) if mostly_code(references) else text


def score_task(
    task: ScoredTask,
    predictions: Sequence[Prediction],
    tests: Mapping[str, list[str]],
    params: Scoring,
    metrics: Mapping[str, Direction] | None = None,
    checker: Checker | None = None,
) -> TaskScores:
    """Scores the predictions of one model on one task, with `metrics` or else what `choose_metrics` says.

    `tests` are the asserts of a row by its id; rows without any are left out of pass@1. Rows without a reference get
    the metrics that need none. `checker` has the checks of the rows that are items of a suite. Raises InputError when BERTScore's encoder cannot be loaded, or when `strict`
    execution finds no bubblewrap, and as `choose_metrics`.
    """
    if metrics is None:
        metrics = choose_metrics(task.metrics, [row.reference for row in predictions], params.execute)
    answers, references, reasoned = _without_reasoning(predictions)
    columns: dict[Column, list[Any]] = {
        "predictions": answers,
        "references": references,
        "prompts": [row.prompt for row in predictions],
        "tests": [tests.get(row.id) or None for row in predictions],
        "passed": [_passed(row, checker) for row in predictions],
        "nll": [row.nll for row in predictions],
        "bytes": [row.bytes or None for row in predictions],
    }
    items = range(len(predictions))
    counts: dict[str, float] = {
        "items": len(items),
        "with_reference": len(items) - columns["references"].count(None),
        "cut": sum(row.finish_reason == "length" for row in predictions),
        "reasoning": reasoned,
    }
    notes: list[str] = []
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
        notes += measured.notes
        signature = {**metric.signature(params), **measured.signature}
        for scores in measured.scores:
            found[scores.name] = replace(scores.spread(where, len(items)), better=better)
            signatures[scores.name] = signature
    order = [*task.metrics, *sorted(found)]
    return TaskScores(
        task=task.name,
        ids=[row.id for row in predictions],
        groups=[row.group for row in predictions],
        scores={name: found[name] for name in dict.fromkeys(order) if name in found},
        counts=counts,
        signatures=signatures,
        notes=notes,
    )


def _passed(row: Prediction, checker: Checker | None) -> bool | None:
    """Whether an answer passes its checks; None where it has none, or they cannot be run here."""
    outcome = None if checker is None else checker.check(row)
    return None if outcome is None else outcome.passed


def _without_reasoning(predictions: Sequence[Prediction]) -> tuple[list[str], list[str | None], int]:
    """Answers and references without reasoning, and how many answers held any.

    A reference that is nothing else is left as it is, and so is the answer to it: there the tags are what was asked for.
    """
    answers: list[str] = []
    references: list[str | None] = []
    reasoned = 0
    for row in predictions:
        answer, found = take_off_reasoning(row.prediction)
        reference = row.reference or None
        if reference is not None:
            wanted, _ = take_off_reasoning(reference)
            if wanted.strip():
                reference = wanted
            else:
                answer, found = row.prediction, False
        answers.append(answer)
        references.append(reference)
        reasoned += found or row.raw is not None  # what was decoded here has come off already
    return answers, references, reasoned


def mostly_code(references: Sequence[str | None]) -> bool:
    """Whether at least half of the references that are there hold code."""
    present = [reference for reference in references if reference]
    return 2 * sum(map(holds_code, present)) >= len(present) > 0
