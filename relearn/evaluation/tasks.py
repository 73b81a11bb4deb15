"""One model on one task: every metric that applies, with the scores of every item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import evaluate

from relearn.metrics import evaluate_metrics as metrics
from relearn.metrics.bertscore import Encoder
from relearn.metrics.code.find import holds_code
from relearn.params.groups import Eval3a
from relearn.records import Prediction, Task
from relearn.statistics.scores import Scores

# What a task's numbers in metrics/eval_3a are, in this order; the first that is there is the task's headline, from
# which `forgotten` and `recovered` are taken. Everything else is in metrics/intervals.json.
ANY_TEXT = ("codebleu", "pass_at_1", "rouge_l", "bertscore", "bleu", "exact_match", "code_rate", "bpb")
POINTS: dict[Task, tuple[str, ...]] = {
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

    task: Task
    ids: list[str]
    groups: list[str]
    scores: dict[str, Scores]
    counts: dict[str, float]
    signatures: dict[str, dict[str, Any]]

    def points(self) -> dict[str, float]:
        """Every value by name; those that no item counts for are left out."""
        return {name: scores.point for name, scores in self.scores.items() if scores.items}


def score_task(
    task: Task,
    predictions: Sequence[Prediction],
    tests: Mapping[str, list[str]],
    params: Eval3a,
    encoder: Encoder | None = None,
) -> TaskScores:
    """Scores the predictions of one model on one task.

    `tests` are the asserts of a row by its id; rows without any are left out of pass@1, which is left out where
    `params.execute` is off. Rows without a reference get the metrics that need none. `encoder` is BERTScore's,
    loaded here when it is not given. Raises InputError when the encoder cannot be loaded, or when `strict`
    execution finds no bubblewrap.
    """
    rows = list(predictions)
    wholly = [index for index, row in enumerate(rows) if row.reference]
    tested = [index for index, row in enumerate(rows) if tests.get(row.id)]
    found: dict[str, Scores] = {}
    counts: dict[str, float] = {"items": len(rows), "with_reference": len(wholly)}
    signatures: dict[str, dict[str, Any]] = {}

    def run(chosen: list[metrics.ItemMetric], where: list[int]) -> None:
        if not where or not chosen:
            return
        part = [rows[index] for index in where]
        evaluate.combine(chosen).compute(
            predictions=[row.prediction for row in part],
            references=[row.reference or "" for row in part],
            prompts=[row.prompt for row in part],
            nll=[row.nll for row in part],
            bytes=[row.bytes for row in part],
            tests=[list(tests.get(row.id, [])) for row in part],
        )
        for metric in chosen:
            counts.update(metric.counts)
            for scores in metric.scores:
                found[scores.name] = scores.spread(where, len(rows))
                signatures[scores.name] = metric.signature

    coding = task == "code" or (task in ("old", "new") and mostly_code([row.reference for row in rows]))
    # Code in a reply to a review, or in a poem, is neither good nor bad.
    run([metrics.CodeRate("higher" if coding else "neither")], list(range(len(rows))))
    if task == "reviews":
        run([metrics.Stance()], list(range(len(rows))))
    if wholly:
        encoder = encoder or Encoder(params.encoder, params.encoder_layers)
        compared: list[metrics.ItemMetric] = [
            metrics.Bleu(),
            metrics.Chrf(),
            metrics.RougeL(params.rouge_stemmer),
            metrics.BertScore(encoder),
            metrics.ExactMatch(),
        ]
        if coding:
            compared.append(metrics.CodeBleuMetric())
        run(compared, wholly)
    measured = [index for index, row in enumerate(rows) if row.nll is not None and row.bytes]
    run([metrics.BitsPerByte()], measured)
    if params.execute != "off" and tested:
        counts["with_tests"] = len(tested)
        run([metrics.PassAt1(params)], tested)
    order = [*POINTS.get(task, ()), *sorted(found)]
    return TaskScores(
        task=task,
        ids=[row.id for row in rows],
        groups=[row.group for row in rows],
        scores={name: found[name] for name in dict.fromkeys(order) if name in found},
        counts=counts,
        signatures=signatures,
    )


def mostly_code(references: Sequence[str | None]) -> bool:
    """Whether at least half of the references that are there hold code."""
    present = [reference for reference in references if reference]
    return 2 * sum(map(holds_code, present)) >= len(present) > 0
