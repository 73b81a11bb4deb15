"""Scores every model on every task, with intervals; what 2b forgot and what 2c brought back.

Run by `dvc repro`, or `python -m stages.eval_3a`. Never decodes: it reads data/predictions/, data/ratings/ when people
have rated the answers, and data/verdicts.jsonl when a judge has.
"""

from __future__ import annotations

from typing import Any

from relearn.decoding.items import CurveRow
from relearn.evaluation import attention, blind, human, judged, ratings, skill_table, skills, table
from relearn.evaluation.checking import Checker
from relearn.evaluation.curve import describe_curve, read_curve
from relearn.evaluation.models import evaluate_models
from relearn.evaluation.suite import SkillItem
from relearn.files import read_jsonl, write_json, write_text
from relearn.params import Params
from relearn.params.evaluate import Scoring
from relearn.progress import say
from relearn.records import Drift, Judgement, Prediction, Row
from relearn.sandbox.runner import ProgramLimits
from stages.paths import Paths, keep_only
from stages.roles import list_tasks, name_models
from stages.run import main


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes metrics/eval_3a/*.json, metrics/intervals.json, metrics/signatures.json, metrics/skills.json,
    report/skills.md, report/table_3a.csv."""
    roles = name_models(params, paths)
    predictions: dict[str, list[Prediction]] = {
        model: list(read_jsonl(paths.predicted(model), Prediction)) for model in roles.names
    }
    tests = {row.id: row.tests for row in read_jsonl(paths.held_out, Row) if row.tests}
    further = {
        seed: {model: list(read_jsonl(paths.predicted(model, seed), Prediction)) for model in roles.trained}
        for seed in params.seeds
    }
    settings = Scoring.join(params.eval_3a, params.sandbox)
    items = list(read_jsonl(paths.skill_items, SkillItem))
    checker = Checker(items, settings.execute, ProgramLimits(settings.timeout_s, settings.memory_mb))
    moved, tasks = list(read_jsonl(paths.drift, Drift)), list_tasks(params)
    found = evaluate_models(predictions, tests, settings, params.seed, tasks, roles, further, moved, checker)
    if paths.curve().is_file():
        rows = read_curve(read_jsonl(paths.curve(), CurveRow), str(paths.curve()))
        most, resamples = params.eval_3a.most_lost, params.eval_3a.resamples
        found.intervals["curve"] = describe_curve(rows, tasks, resamples, params.seed, most)
    given = ratings.read(paths.ratings, blind.names(predictions, params.seed), attention.list_checks(params.seed))
    stale = human.join(found, given, params.eval_3a.resamples, params.seed)
    if stale:
        say(
            f"eval_3a: warning: {stale} of {len(given.ratings)} ratings are of answers that have changed since, and are left out"
        )
    pairs = judged.join_orders(read_jsonl(paths.verdicts, Judgement), roles.pairs)
    people = human.compare_with_judge(judged.preferences(pairs), given, params.eval_3a.resamples, params.seed)
    judged.join(found, pairs, roles.pairs, people)
    for model, points in found.points.items():
        write_json(paths.scored(model), points)
    keep_only(paths.metrics / "eval_3a", [paths.scored(model) for model in found.points])
    write_json(paths.metrics / "intervals.json", found.intervals)
    write_json(paths.metrics / "signatures.json", found.signatures)
    write_text(paths.report / "table_3a.csv", table.as_csv(found.rows))
    suites: dict[str, Any] = {}
    for task in params.tasks:
        of_task = [item for item in items if item.task == task]
        if of_task:
            options = (settings.resamples, settings.swaps, params.seed)
            suites[task] = skills.measure_skills(predictions, of_task, checker, roles, *options)
    write_json(paths.metrics / "skills.json", suites)
    text = "".join(
        f"## {task}\n\n{skill_table.describe(one)}\n{skill_table.show_answers(one)}" for task, one in suites.items()
    )
    write_text(paths.report / "skills.md", text or "No task of this profile is a suite of skills (docs/skills.md).\n")
    for warning in found.warnings:
        say(f"eval_3a: warning: {warning}")
    return {}


if __name__ == "__main__":
    main("eval_3a", work)
