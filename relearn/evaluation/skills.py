"""A suite of skills under several models: by skill what was lost and what came back, and the mean over skills.

The primary test is that of the mean over skills, each with the same weight; the single skills of one comparison go
through Holm's correction. A skill that no model here can do cannot be lost: it is called not measurable, and left out
of the mean. The rule looks at the best model, whichever that is, so that it does not favour any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from relearn.errors import InputError
from relearn.evaluation.checking import Checker
from relearn.evaluation.checks import CheckOutcome
from relearn.evaluation.forgetting import Comparison, Rounds
from relearn.evaluation.models import make_plain
from relearn.evaluation.roles import ModelRoles
from relearn.evaluation.suite import SkillItem
from relearn.evaluation.tasks import TaskScores
from relearn.records import Prediction
from relearn.statistics import resampling, significance
from relearn.statistics.scores import Floats, Scores, mean, ratio

MEAN = "mean over skills"
METRIC = "checks"


def measure_skills(
    predictions: Mapping[str, Sequence[Prediction]],
    items: Sequence[SkillItem],
    checker: Checker,
    roles: ModelRoles,
    resamples: int,
    swaps: int,
    seed: int,
) -> dict[str, Any]:
    """The suite under every model of `roles`, plain values.

    `mean`: the mean over skills by model with its interval, and the comparisons. `skills`, by name: `about`, how many
    items and clusters, `status` (measured, not measurable here, not measured) and why, each model's share with its
    interval, comparisons and flips. `answers`: every item with each model's answer, whether it passed, and why not.
    Raises InputError when a model did not answer an item.
    """
    models = [model for model in roles.names if model in predictions]
    answered = {model: _answers(model, predictions[model], items) for model in models}
    names = list(dict.fromkeys(item.skill for item in items))
    skills: dict[str, Any] = {}
    scored: dict[str, dict[str, TaskScores]] = {}  # of the skills that are measured
    compared: dict[str, list[Comparison]] = {}
    for name in names:
        own = [item for item in items if item.skill == name]
        outcomes = {model: [checker.check(answered[model][item.id]) for item in own] for model in models}
        number = sum(outcome is not None for outcome in outcomes[models[0]])
        about = {"about": own[0].about, "items": len(own)}
        if number < len(own):
            reason = "its programs run only under bubblewrap, which is missing here or switched off"
            skills[name] = about | {"status": "not measured", "reason": reason}
            continue
        of_models = {model: _score(name, own, answered[model], outcomes[model]) for model in models}
        rounds = Rounds(of_models, roles, resamples, seed, swaps)
        reason = _find_obstacle(rounds, own[0].floor)
        details = about | {"clusters": rounds.clusters, "floor": own[0].floor, "models": _intervals(rounds, METRIC)}
        if reason:
            skills[name] = details | {"status": "not measurable here", "reason": reason}
            continue
        scored[name], compared[name] = of_models, rounds.compare(METRIC)
        skills[name] = details | {"status": "measured", "reason": "", "flips": rounds.flips()[METRIC]}
    _correct(list(compared.values()))
    for name, comparisons in compared.items():
        skills[name]["comparisons"] = [comparison.plain() for comparison in comparisons]
    return {
        "models": models,
        "mean": _average(scored, roles, resamples, swaps, seed) if scored else None,
        "skills": make_plain(skills),
        "answers": [_show(item, answered, checker) for item in items],
    }


def _answers(model: str, rows: Sequence[Prediction], items: Sequence[SkillItem]) -> dict[str, Prediction]:
    by_id = {row.id: row for row in rows}
    missing = next((item.id for item in items if item.id not in by_id), None)
    if missing is not None:
        raise InputError(f"predictions of {model}: {missing} was not answered; run predict again")
    return by_id


def _score(
    name: str, items: Sequence[SkillItem], answers: Mapping[str, Prediction], outcomes: Sequence[CheckOutcome | None]
) -> TaskScores:
    rows = [answers[item.id] for item in items]
    passed = [outcome is not None and outcome.passed for outcome in outcomes]
    cut = sum(row.finish_reason == "length" for row in rows)
    return TaskScores(
        task=name,
        ids=[row.id for row in rows],
        groups=[row.group for row in rows],
        scores={METRIC: mean(METRIC, passed, proportion=True)},
        counts={"items": len(rows), "cut": cut},
        signatures={},
    )


def _find_obstacle(rounds: Rounds, floor: float) -> str:
    """Why no loss of the skill could show, if none could: the best model is at what guessing gives, or passes too few."""
    best = max(rounds.scored, key=lambda model: rounds.scored[model].scores[METRIC].point)
    point, ends = rounds.scored[best].scores[METRIC].point, rounds.interval(best, METRIC)
    sums = rounds.sums(best, METRIC)
    nothing = sums * np.array([0.0, 1.0])
    if point == 0:
        return "no model here passes any item"
    if not resampling.newcombe(nothing, sums).low > 0:
        return f"the best model passes {point:.0%}: even a total loss would not be significant"
    if not ends.low > floor:
        return f"the best model passes {point:.0%}, not significantly more than guessing ({floor:.0%})"
    return ""


def _intervals(rounds: Rounds, name: str) -> dict[str, Any]:
    found = {}
    for model, task in rounds.scored.items():
        ends = rounds.interval(model, name)
        found[model] = {"value": task.scores[name].point, "low": ends.low, "high": ends.high} | dict(task.counts)
    return found


def _correct(compared: Sequence[Sequence[Comparison]]) -> None:
    """Holm over the skills of each comparison of two models."""
    for family in zip(*compared, strict=True):
        for comparison, adjusted in zip(family, significance.holm([one.p for one in family]), strict=True):
            comparison.p_holm = adjusted


def _average(
    scored: Mapping[str, Mapping[str, TaskScores]], roles: ModelRoles, resamples: int, swaps: int, seed: int
) -> dict[str, Any]:
    """The mean over skills, in which every one has the same weight; resampled within each."""
    joined = {}
    for model in next(iter(scored.values())):
        parts = [of_models[model] for of_models in scored.values()]
        stats = np.zeros((sum(len(part.ids) for part in parts), 2 * len(parts)))
        first = 0
        for number, part in enumerate(parts):
            stats[first : first + len(part.ids), 2 * number : 2 * number + 2] = part.scores[METRIC].stats
            first += len(part.ids)
        joined[model] = TaskScores(
            task=MEAN,
            ids=[identity for part in parts for identity in part.ids],
            groups=[f"{part.task}/{group}" for part in parts for group in part.groups],
            scores={MEAN: Scores(MEAN, stats, _mean_of_shares)},
            counts={},
            signatures={},
        )
    strata = [part for part, of_models in scored.items() for _ in of_models[roles.base].ids]
    rounds = Rounds(joined, roles, resamples, seed, swaps, strata)
    comparisons = [comparison.plain() | {"p_holm": comparison.p} for comparison in rounds.compare(MEAN)]
    found = {"skills": len(scored), "models": _intervals(rounds, MEAN), "comparisons": comparisons}
    plain: dict[str, Any] = make_plain(found)
    return plain


def as_guarded(found: Mapping[str, Any]) -> dict[str, Any]:
    """The mean over skills in the form in which the intervals of a task are, for a guard on `checks`.

    Answers that end at the longest length of their skill are not counted as cut: it is part of what was asked.
    """
    average = found["mean"]
    if average is None:
        return {}
    measured = [skill for skill in found["skills"].values() if skill["status"] == "measured"]
    items = sum(skill["items"] for skill in measured)
    return {
        "clusters": sum(skill["clusters"] for skill in measured),
        "counts": {model: {"items": items, "cut": 0} for model in found["models"]},
        "scores": {METRIC: average["models"]},
        "flips": {},
        "comparisons": [{**one, "metric": METRIC} for one in average["comparisons"]],
    }


def _mean_of_shares(sums: Floats) -> Floats:
    """(..., 2 × skills) → (...): the mean over skills of passed over items."""
    pairs = sums.reshape(*sums.shape[:-1], -1, 2)
    return np.asarray(ratio(pairs).mean(axis=-1))


def _show(item: SkillItem, answered: Mapping[str, Mapping[str, Prediction]], checker: Checker) -> dict[str, Any]:
    rows = {model: answers[item.id] for model, answers in answered.items()}
    outcomes = {model: checker.check(row) for model, row in rows.items()}
    return {
        "id": item.id,
        "skill": item.skill,
        "instruction": next(iter(rows.values())).prompt,
        "models": {
            model: {
                "output": row.prediction,
                "passed": None if (outcome := outcomes[model]) is None else outcome.passed,
                "reason": "" if outcome is None else outcome.reason,
            }
            for model, row in rows.items()
        },
    }
