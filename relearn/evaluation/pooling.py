"""All tasks of one model as one: the metrics that every task has, over all prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from relearn.evaluation.tasks import TaskScores
from relearn.statistics.scores import Scores

POOLED = "pooled"  # in the table, in place of a task's name
SHOWN = ("rouge_l", "bertscore", "bleu", "bpb")


def choose_pooled(tasks: Sequence[TaskScores]) -> list[int]:
    """Which of the tasks are pooled: those with references, which a suite of skills lacks."""
    return [number for number, task in enumerate(tasks) if task.counts.get("with_reference", 1)]


def pool(scored: Sequence[TaskScores]) -> TaskScores:
    """The items of all tasks under one model, with the metrics of `SHOWN` that every task has.

    Sums over items are added up, so BLEU and bits per byte are corpus values over all prompts. Clusters of different
    tasks stay apart whatever their names.
    """
    names = [name for name in SHOWN if all(name in task.scores and task.scores[name].items for task in scored)]
    return TaskScores(
        task=scored[0].task,
        ids=[f"{task.task}/{item}" for task in scored for item in task.ids],
        groups=[f"{task.task}/{group}" for task in scored for group in task.groups],
        scores={name: _joined([task.scores[name] for task in scored]) for name in names},
        counts={"items": sum(task.counts.get("items", len(task.ids)) for task in scored)},
        signatures={},
    )


def _joined(parts: Sequence[Scores]) -> Scores:
    return replace(parts[0], stats=np.concatenate([part.stats for part in parts]))
