"""One model on one task: every metric that applies, with the scores of every item."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, TypeVar

from relearn.errors import InputError
from relearn.evaluation.checking import Checker
from relearn.evaluation.roles import ScoredTask
from relearn.evaluation.shares import ROWS, AnswerShare, ModelRows, ScoredShare, Share, examine, share_out
from relearn.metrics.metric import Column, all_metrics
from relearn.params.evaluate import Scoring
from relearn.params.names import nearest
from relearn.progress import Progress
from relearn.records import Prediction
from relearn.statistics.scores import Direction, Scores
from relearn.workers import Workers

K = TypeVar("K", bound=Hashable)  # what tells models apart

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


def choose_metrics(listed: Sequence[str], code: bool, execute: str = "off") -> dict[str, Direction]:
    """The metrics to score, those listed and the standard ones, and whether more of each is better there.

    Those that run programs come last, and are left out where `execute` is off. Code in an answer counts for the
    better only where the references mostly hold `code`: in a poem it is neither good nor bad. Raises InputError for a
    name that no metric has.
    """
    known = all_metrics()
    for name in listed:
        if name not in known:
            raise InputError(f"unknown metric {name}{nearest(name, list(known))}; there are {', '.join(known)}")
    *standard, last = STANDARD
    names = [*standard, *(name for name in listed if name not in STANDARD), last]
    names.sort(key=lambda name: "execute" in known[name].options)
    found = {name: known[name].better for name in names if execute != "off" or "execute" not in known[name].options}
    return found if code else found | {"code_rate": "neither"}


def metrics_for(code: bool) -> tuple[str, ...]:
    """What is worth listing for texts of which nothing is known but whether they are mostly code: then CodeBLEU too."""
    text = ("pass_at_1", "rouge_l", "bertscore", "bleu", "chrf", "exact_match", "code_rate", "bpb")
    return ("codebleu", *text) if code else text


def score_task(
    task: ScoredTask,
    predictions: Sequence[Prediction],
    tests: Mapping[str, list[str]],
    params: Scoring,
    metrics: Mapping[str, Direction] | None = None,
    checker: Checker | None = None,
    workers: Workers[Share, Any] | None = None,
) -> TaskScores:
    """Scores the predictions of one model on one task, with `metrics` or else what `choose_metrics` says.

    As `score_models`.
    """
    if metrics is None:
        code = examine([row.reference for row in predictions], workers).code
        metrics = choose_metrics(task.metrics, code, params.execute)
    return score_models(task, {"": predictions}, tests, params, metrics, checker, workers)[""]


def score_models(
    task: ScoredTask,
    predictions: Mapping[K, Sequence[Prediction]],
    tests: Mapping[str, list[str]],
    params: Scoring,
    metrics: Mapping[str, Direction],
    checker: Checker | None = None,
    workers: Workers[Share, Any] | None = None,
) -> dict[K, TaskScores]:
    """Scores the predictions of some models on one task; those of all models are of the same number of rows.

    `tests` are the asserts of a row by its id; rows without any are left out of pass@1. Rows without a reference get
    the metrics that need none. `checker` has the checks of the rows that are items of a suite. `workers` are the processes
    that share the work. Raises InputError when BERTScore's encoder cannot be loaded, or when `strict` execution finds no
    bubblewrap.
    """
    apart = [name for name in metrics if all_metrics()[name].apart]
    shares: dict[K, list[ScoredShare]] = {model: [] for model in predictions}
    answers = sum(map(len, predictions.values()))
    label = f"scoring {task.name}".rstrip()
    with (
        share_out(answers) if workers is None else nullcontext(workers) as at_work,
        Progress(label, answers, "answers", least=2.0) as bar,
    ):
        for asked, found in at_work.map(_share(predictions, apart, params)):
            for model, share in found.items():
                shares[model].append(share)
            bar.update(len(asked))
    return {
        model: _join(task, rows, shares.pop(model), tests, params, metrics, checker)
        for model, rows in predictions.items()
    }


def _share(
    predictions: Mapping[K, Sequence[Prediction]], metrics: Sequence[str], params: Scoring
) -> Iterator[AnswerShare]:
    first = next(iter(predictions.values()))
    for start in range(0, len(first), ROWS):
        asked: dict[K, ModelRows] = {}
        for model, rows in predictions.items():
            some = rows[start : start + ROWS]
            asked[model] = ModelRows(
                [row.prompt for row in some], [row.reference or None for row in some], [row.prediction for row in some]
            )
        yield AnswerShare(metrics, params, asked)


def _join(
    task: ScoredTask,
    predictions: Sequence[Prediction],
    shares: Sequence[ScoredShare],
    tests: Mapping[str, list[str]],
    params: Scoring,
    metrics: Mapping[str, Direction],
    checker: Checker | None,
) -> TaskScores:
    """The shares of one model's scores together, and the metrics that look at all rows at once."""
    items = range(len(predictions))
    columns = _list_columns(predictions, shares, tests, checker)
    reasoned = [found for share in shares for found in share.reasoned]
    counts: dict[str, float] = {
        "items": len(items),
        "with_reference": sum(bool(row.reference) for row in predictions),
        "cut": sum(row.finish_reason == "length" for row in predictions),
        # what was decoded here has come off already
        "reasoning": sum(own or row.raw is not None for own, row in zip(reasoned, predictions, strict=True)),
    }
    notes: list[str] = []
    found: dict[str, Scores] = {}
    signatures: dict[str, dict[str, Any]] = {}
    for name, better in metrics.items():
        metric = all_metrics()[name]
        if metric.apart:
            parts = [share.measured[name] for share in shares]
            if not sum(number for number, _ in parts):
                continue
            where: Sequence[int] = items
            measured = metric.join([part for _, part in parts])
        else:
            where = [index for index in items if all(columns(need)[index] is not None for need in metric.needs)]
            if not where:
                continue
            read = {column: [columns(column)[index] for index in where] for column in metric.reads}
            measured = metric.measure(read, params)
        if "tests" in metric.needs:
            counts["with_tests"] = len(where)
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


def _list_columns(
    predictions: Sequence[Prediction],
    shares: Sequence[ScoredShare],
    tests: Mapping[str, list[str]],
    checker: Checker | None,
) -> Callable[[Column], list[Any]]:
    """Makes each column when a metric first asks for it; answers and references without reasoning."""

    def put_in(given: list[Any], changed: Iterable[Mapping[int, str]]) -> list[Any]:
        for number, texts in enumerate(changed):
            for index, text in texts.items():
                given[number * ROWS + index] = text
        return given

    made: dict[Column, Callable[[], list[Any]]] = {
        "predictions": lambda: put_in([row.prediction for row in predictions], (share.answers for share in shares)),
        "references": lambda: put_in(
            [row.reference or None for row in predictions], (share.references for share in shares)
        ),
        "prompts": lambda: [row.prompt for row in predictions],
        "tests": lambda: [tests.get(row.id) or None for row in predictions],
        "passed": lambda: [_passed(row, checker) for row in predictions],
        "nll": lambda: [row.nll for row in predictions],
        "bytes": lambda: [row.bytes or None for row in predictions],
    }
    return cache(lambda name: made[name]())


def _passed(row: Prediction, checker: Checker | None) -> bool | None:
    """Whether an answer passes its checks; None where it has none, or they cannot be run here."""
    outcome = None if checker is None else checker.check(row)
    return None if outcome is None else outcome.passed
