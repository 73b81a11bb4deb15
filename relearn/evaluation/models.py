"""The models compared: points, intervals, forgetting, recovery, significance, and the rows of the 3a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from relearn.errors import InputError
from relearn.evaluation import seeds
from relearn.evaluation.checking import Checker
from relearn.evaluation.drift import summarise_drift
from relearn.evaluation.forgetting import Comparison, Rounds
from relearn.evaluation.pooling import POOLED, choose_pooled, pool
from relearn.evaluation.roles import ModelRoles, ScoredTask
from relearn.evaluation.shares import examine, share_out
from relearn.evaluation.tasks import TaskScores, choose_metrics, score_models
from relearn.params.evaluate import Scoring
from relearn.records import Drift, Prediction
from relearn.statistics import resampling, significance

DIGITS = 4


@dataclass(frozen=True)
class Evaluation:
    """What eval_3a writes. Plain values, rounded to four digits, ready for JSON.

    `points[model]` is nested by task; `intervals` holds everything else, by task and metric, and `pooled` over all
    tasks; `rows` are the table's, one a model, task (or `pooled`) and metric.
    """

    points: dict[str, dict[str, dict[str, float]]]
    intervals: dict[str, Any]
    signatures: dict[str, Any]
    rows: list[dict[str, Any]]
    warnings: list[str] = field(default_factory=list)


def evaluate_models(
    predictions: Mapping[str, Sequence[Prediction]],
    tests: Mapping[str, list[str]],
    params: Scoring,
    seed: int,
    tasks: Sequence[ScoredTask],
    roles: ModelRoles,
    further: Mapping[int, Mapping[str, Sequence[Prediction]]] | None = None,
    drift: Sequence[Drift] = (),
    checker: Checker | None = None,
) -> Evaluation:
    """Scores every model on every task, over the same items, and compares them.

    `predictions` are by model, and those of `roles` are compared. `tasks` are in the table's order.
    `drift` is how far the models have moved from base. `further` are the predictions of the rounds run again with other
    training seeds, by seed and model. `checker` has the checks of the items of suites. Probes are not scored here. Raises
    InputError when the models did not answer the same items, and as `score_task`.
    """
    models = [model for model in roles.names if model in predictions]
    predictions = {model: predictions[model] for model in models}
    every: list[dict[str, TaskScores]] = []
    points: dict[str, dict[str, dict[str, float]]] = {model: {} for model in models}
    signatures: dict[str, Any] = {}
    found: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    compared: list[tuple[ScoredTask, Comparison]] = []
    notes: list[str] = []
    trained: dict[int, list[dict[str, TaskScores]]] = {}  # seed → its tasks, in the order of `every`
    for task, by_seed in _score(predictions, tests, params, tasks, further or {}, checker):
        scored = by_seed.pop(None)
        every.append(scored)
        for other, again in by_seed.items():
            assert other is not None  # taken out above
            trained.setdefault(other, []).append({models[0]: scored[models[0]], **again})
        rounds = Rounds(scored, roles, params.resamples, seed, params.swaps)
        comparisons = [comparison for name in rounds.names for comparison in rounds.compare(name)]
        compared += [(task, comparison) for comparison in comparisons]
        for model in models:
            points[model][task.name] = _points(task, model, scored[model], comparisons)
        for warning in resampling.warnings(len(rounds.ids), rounds.clusters):
            notes.append(f"{task.name}: {warning}")
        notes += [f"{task.name}: {note}" for note in _find_blind_spots(scored, params.cut_share)]
        found[task.name] = _details(scored, rounds)
        for model in models:
            for name, made in scored[model].signatures.items():
                signatures.setdefault(name, {})[task.name] = made
        rows += _rows(task.name, task.metrics, scored, rounds)
    tests_made = _correct(compared)
    if tests_made / (params.swaps + 1) > significance.LEVEL:
        notes.append(
            f"{params.swaps} random swaps are too few for {tests_made} comparisons: none can be significant after "
            "Holm's correction"
        )
    for name in found:
        found[name]["comparisons"] = [comparison.plain() for owner, comparison in compared if owner.name == name]
    _mark(rows, compared)
    pooled: dict[str, Any] | None = None
    texts = [every[number] for number in choose_pooled([scored[models[0]] for scored in every])]
    if len(texts) > 1:
        together = {model: pool([scored[model] for scored in texts]) for model in models}
        strata = [task for scored in texts for task in [scored[models[0]].task] * len(scored[models[0]].ids)]
        rounds = Rounds(together, roles, params.resamples, seed, strata=strata)
        pooled = _details(together, rounds)
        rows += _rows(POOLED, rounds.names, together, rounds)
    signatures = {name: _merge_signatures(by_task) for name, by_task in signatures.items()}
    intervals = {
        "cut_share": params.cut_share,
        "confidence": resampling.CONFIDENCE,
        "resamples": params.resamples,
        "swaps": params.swaps,
        "seed": seed,
        "claim": seeds.claim(1 + len(trained)),
        "warnings": notes,
        "tasks": found,
        POOLED: pooled,
    }
    if drift:
        intervals["drift"] = moved = summarise_drift(drift, params.resamples, seed)
        for name, of_models in moved["tasks"].items():
            for model, value in of_models.items():
                if name in points.get(model, {}):
                    points[model][name]["drift"] = round(value["value"], DIGITS)
    if trained:
        over = _over_seeds(points, every, trained, tasks, roles, params.resamples, seed)
        intervals["seeds"] = over
        _beside(rows, over["tasks"])
    return Evaluation(points, make_plain(intervals), signatures, make_plain(rows), notes)


def _score(
    predictions: Mapping[str, Sequence[Prediction]],
    tests: Mapping[str, list[str]],
    params: Scoring,
    tasks: Sequence[ScoredTask],
    further: Mapping[int, Mapping[str, Sequence[Prediction]]],
    checker: Checker | None,
) -> list[tuple[ScoredTask, dict[int | None, dict[str, TaskScores]]]]:
    """Each task that has rows, and the scores on it by model: the main seed's under None, those of further ones."""
    first = next(iter(predictions))
    answers = sum(len(rows) for of_seed in (predictions, *further.values()) for rows in of_seed.values())
    found: list[tuple[ScoredTask, dict[int | None, dict[str, TaskScores]]]] = []
    with share_out(answers) as workers:
        for task in tasks:
            given: dict[tuple[int | None, str], Sequence[Prediction]] = {
                (None, model): rows for model, rows in _aligned(predictions, task.name).items()
            }
            asked = given[None, first]
            if not asked:
                continue
            for seed, answered in further.items():
                again = _aligned({first: predictions[first], **answered}, task.name)
                given |= {(seed, model): again[model] for model in answered}
            references = [row.reference for row in asked]
            traits = examine(references, workers)
            if not traits.latin and "chrf" not in task.metrics:
                # Where most references are not in Latin letters the table shows chrF, which needs no words.
                headline, *others = task.metrics
                task = replace(task, metrics=(headline, "chrf", *others))
            metrics = choose_metrics(task.metrics, traits.code, params.execute)
            scored = score_models(task, given, tests, params, metrics, checker, workers)
            by_seed: dict[int | None, dict[str, TaskScores]] = {seed: {} for seed in (None, *further)}
            for (of, model), scores in scored.items():
                by_seed[of][model] = scores
            found.append((task, by_seed))
    return found


def _merge_signatures(by_task: Mapping[str, Any]) -> Any:
    """The signature that a metric has on every task, or those of the tasks, as where they need other tokenizers."""
    first = next(iter(by_task.values()))
    return first if all(made == first for made in by_task.values()) else {"by_task": dict(by_task)}


def _find_blind_spots(scored: Mapping[str, TaskScores], most: float) -> list[str]:
    """What the scores of a task do not see: answers that ended at the cap, texts that a metric cannot read."""
    found = [
        f"{task.counts['cut']:.0f} of {len(task.ids)} answers of {model} ended at the cap on their length ({task.cut_share:.0%}); "
        "comparing scores other than bits per byte is unsound; raise the cap and decode again"
        for model, task in scored.items()
        if task.cut_share > most
    ]
    models: dict[str, list[str]] = {}
    for model, task in scored.items():
        for note in task.notes:
            models.setdefault(note, []).append(model)
    return found + [note if len(own) == len(scored) else f"{', '.join(own)}: {note}" for note, own in models.items()]


def _over_seeds(
    points: dict[str, dict[str, dict[str, float]]],
    every: list[dict[str, TaskScores]],
    trained: dict[int, list[dict[str, TaskScores]]],
    tasks: Sequence[ScoredTask],
    roles: ModelRoles,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """What `seeds` of the intervals file holds: the seeds, the main one first, and each value's spread over them."""
    first = roles.base
    again = next(iter(trained.values()))[0]
    tuned = [model for model in points if model != first and model in again]
    by_name = {task.name: task for task in tasks}
    each = [{model: dict(points[model]) for model in tuned}]
    for scored in trained.values():
        own: dict[str, dict[str, dict[str, float]]] = {model: {} for model in tuned}
        for of_task in scored:
            rounds = Rounds(of_task, roles, resamples, seed)
            task = by_name[of_task[first].task]
            headline = next((name for name in task.metrics if name in rounds.names), None)
            comparisons = rounds.compare(headline) if headline is not None else []
            for model in tuned:
                own[model][task.name] = _points(task, model, of_task[model], comparisons)
        each.append(own)
    texts = choose_pooled([of_task[first] for of_task in every])
    if len(texts) > 1:
        for own, scored in zip(each, [every, *trained.values()], strict=True):
            for model in tuned:
                own[model][POOLED] = pool([scored[number][model] for number in texts]).points()
    return {"seeds": [seed, *trained], "number": len(each), "tasks": seeds.spread(each)}


def _beside(rows: list[dict[str, Any]], spread: Mapping[str, Any]) -> None:
    """Each row of the table gets the spread over seeds of its value; base, trained once, gets none."""
    for row in rows:
        found = spread[row["task"]].get(row["model"], {}).get(row["metric"])
        row |= {f"seeds_{name}": None if found is None else found[name] for name in seeds.SPREAD}


def _aligned(predictions: Mapping[str, Sequence[Prediction]], task: str) -> dict[str, list[Prediction]]:
    """Each model's answers to the task in the first model's order."""
    first, *_ = predictions
    answers: dict[str, list[Prediction]] = {}
    order = [row.id for row in predictions[first] if row.task == task]
    for model, rows in predictions.items():
        by_id = {row.id: row for row in rows if row.task == task}
        if len(by_id) != sum(row.task == task for row in rows):
            raise InputError(f"predictions of {model}, task {task}: an id comes twice; run predict again")
        if by_id.keys() != set(order):
            odd = sorted(by_id.keys() ^ set(order))[0]
            raise InputError(
                f"predictions of {model} and {first}, task {task}: {odd} is not in both; run predict again"
            )
        answers[model] = [by_id[identity] for identity in order]
    return answers


def _points(task: ScoredTask, model: str, scored: TaskScores, comparisons: list[Comparison]) -> dict[str, float]:
    """The task's few keys of metrics/eval_3a/<model>.json."""
    values = {
        name: round(scored.scores[name].point, DIGITS)
        for name in task.metrics
        if name in scored.scores and scored.scores[name].items
    }
    headline = next(iter(values), None)
    for comparison in comparisons:
        if comparison.metric != headline or comparison.after != model:
            continue
        if comparison.kind == "forgetting":
            values["forgotten"] = round(comparison.value, DIGITS) + 0.0  # no -0.0
        elif comparison.kind == "recovery" and comparison.ratio is not None and not math.isnan(comparison.ratio):
            values["recovered"] = round(comparison.ratio, DIGITS)
        elif comparison.kind == "recovery" and task.is_new:
            values["backward_transfer"] = round(comparison.value, DIGITS)
    return values


def _details(scored: Mapping[str, TaskScores], rounds: Rounds) -> dict[str, Any]:
    first = next(iter(scored.values()))
    return {
        "items": len(first.ids),
        "clusters": rounds.clusters,
        "counts": {model: dict(task.counts) for model, task in scored.items()},
        "scores": {
            name: {
                model: {
                    "value": scored[model].scores[name].point,
                    "low": rounds.interval(model, name).low,
                    "high": rounds.interval(model, name).high,
                    "items": scored[model].scores[name].items,
                }
                for model in scored
            }
            for name in rounds.names
        },
        "directions": {name: first.scores[name].better for name in rounds.names},
        "flips": rounds.flips(),
    }


def _rows(task: str, shown: Sequence[str], scored: Mapping[str, TaskScores], rounds: Rounds) -> list[dict[str, Any]]:
    return [
        {
            "model": model,
            "task": task,
            "metric": name,
            "value": scored[model].scores[name].point,
            "low": rounds.interval(model, name).low,
            "high": rounds.interval(model, name).high,
            "mark": "",
        }
        for model in scored
        for name in shown
        if name in rounds.names
    ]


def _correct(compared: list[tuple[ScoredTask, Comparison]]) -> int:
    """Holm over the family of tests that the table shows, every model change, task and shown metric: how many."""
    family = [comparison for task, comparison in compared if comparison.metric in task.metrics]
    for comparison, adjusted in zip(family, significance.holm([c.p for c in family]), strict=True):
        comparison.p_holm = adjusted
    return len(family)


def _mark(rows: list[dict[str, Any]], compared: list[tuple[ScoredTask, Comparison]]) -> None:
    """▼ or ▲ on a model that is significantly worse or better than the one it is compared with, ◆ where neither way is
    better.
    """
    for task, comparison in compared:
        if math.isnan(comparison.p_holm) or comparison.p_holm > significance.LEVEL:
            continue
        for row in rows:
            if (row["task"], row["metric"], row["model"]) == (task.name, comparison.metric, comparison.after):
                row["mark"] = "◆" if comparison.better is None else "▲" if comparison.better else "▼"


def make_plain(value: Any) -> Any:
    """Rounded, and non-finite numbers as None, since JSON has none."""
    if isinstance(value, dict):
        return {key: make_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [make_plain(item) for item in value]
    if isinstance(value, float):
        return None if not math.isfinite(value) else round(value, DIGITS) + 0.0  # no -0.0
    return value
