"""Methods at equal new skill by their answers: the headline metric of every task, each model at its own λ.

Bits per byte do not say all about a method whose loss is not the likelihood. So such a method, and plain training, answer the
held-out prompts at the λ at which they have the same share of plain's gain in bits per byte, and their answers are compared.
Prompts are paired: one draw of clusters serves all methods, and the tests swap whole clusters between a method and plain.
Holm's correction runs over the methods within a task.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from relearn.errors import InputError
from relearn.evaluation.checking import Checker
from relearn.evaluation.forgetting import Rounds
from relearn.evaluation.roles import ModelRoles, ScoredTask
from relearn.evaluation.shares import examine
from relearn.evaluation.tasks import choose_metrics, score_models
from relearn.params.evaluate import Scoring
from relearn.records import Prediction
from relearn.statistics import significance


@dataclass(frozen=True)
class AnswerScore:
    """The headline metric of one method's answers to one task, with its 95% interval.

    `more` is the value less plain's, `better` whether that is for the better, None where neither way is (code in a poem). `p`
    is of `more`, `p_holm` after Holm's correction over the methods within the task. nan and None for plain itself.
    """

    task: str
    metric: str
    value: float
    low: float
    high: float
    more: float = math.nan
    more_low: float = math.nan
    more_high: float = math.nan
    p: float = math.nan
    p_holm: float = math.nan
    better: bool | None = None


@dataclass(frozen=True)
class Answers:
    """A method's answers with its change scaled by `factor`, None where it never has the new skill to compare it at.

    One score a task that has any; none where nothing was decoded at this factor, or plain was not at its own.
    """

    factor: float | None
    scores: list[AnswerScore] = field(default_factory=list)


def round_factor(factor: float) -> float:
    """The λ that is decoded for one: coarse, so that another run comes to the same, and an experiment is found again."""
    return max(0.01, round(factor, 2))


def compare_answers(
    answers: Mapping[str, Sequence[Prediction]],
    tasks: Sequence[ScoredTask],
    tests: Mapping[str, list[str]],
    settings: Scoring,
    seed: int,
    checker: Checker | None = None,
) -> dict[str, list[AnswerScore]]:
    """The scores of every method, the first of which (plain) the others are compared with; of two methods at least.

    `tests` and `checker` as `score_models` takes them. Raises InputError where the methods did not answer the same prompts.
    """
    plain, *others = answers
    roles = ModelRoles(plain, others[0], others=tuple(others[1:]))
    found: dict[str, list[AnswerScore]] = {name: [] for name in answers}
    for task in tasks:
        rows = {name: [row for row in own if row.task == task.name] for name, own in answers.items()}
        for name, own in rows.items():
            if [row.id for row in own] != [row.id for row in rows[plain]]:
                raise InputError(
                    f"{name} and {plain} answered other prompts of {task.name}; compare runs of the same data"
                )
        for name, score in _compare(task, rows, roles, tests, settings, seed, checker).items():
            found[name].append(score)
    return found


def _compare(
    task: ScoredTask,
    rows: Mapping[str, Sequence[Prediction]],
    roles: ModelRoles,
    tests: Mapping[str, list[str]],
    settings: Scoring,
    seed: int,
    checker: Checker | None,
) -> dict[str, AnswerScore]:
    """By the first of the task's metrics that all answers have, as in the 3a table; nothing where there is none."""
    asked = rows[roles.base]
    known = choose_metrics(task.metrics, examine([row.reference for row in asked]).code, settings.execute)
    for metric in task.metrics if asked else ():
        if metric not in known:
            continue
        scored = score_models(task, rows, tests, settings, {metric: known[metric]}, checker)
        rounds = Rounds(scored, roles, settings.resamples, seed, settings.swaps)
        if metric not in rounds.names:
            continue
        compared = rounds.compare(metric)
        adjusted = significance.holm([comparison.p for comparison in compared])
        found = {}
        for name, own in scored.items():
            ends = rounds.interval(name, metric)
            found[name] = AnswerScore(task.name, metric, own.scores[metric].point, ends.low, ends.high)
        for comparison, p_holm in zip(compared, adjusted, strict=True):
            # what a comparison holds is plain's score less the method's, turned so that higher is better
            turn = -scored[roles.base].scores[metric].sign
            low, high = sorted((turn * comparison.low, turn * comparison.high))
            found[comparison.after] = replace(
                found[comparison.after],
                more=turn * comparison.value,
                more_low=low,
                more_high=high,
                p=comparison.p,
                p_holm=p_holm,
                better=comparison.better,
            )
        return found
    return {}
