"""Scores every model on every task, with intervals; what 2b forgot and what 2c brought back.

Run by `dvc repro`, or `python -m stages.eval_3a`. Never decodes: it reads data/predictions/, data/ratings/ when people
have rated the answers, and data/verdicts.jsonl when a judge has.
"""

from __future__ import annotations

from typing import Any

from relearn.evaluation import attention, blind, human, judged, ratings, table
from relearn.evaluation.models import evaluate_models
from relearn.files import read_jsonl, write_json, write_text
from relearn.params import Params
from relearn.params.evaluate import Scoring
from relearn.progress import say
from relearn.records import Judgement, Prediction, Row
from stages.paths import Paths, keep_only
from stages.roles import list_tasks, name_models
from stages.run import main


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes metrics/eval_3a/*.json, metrics/intervals.json, metrics/signatures.json, report/table_3a.csv."""
    roles = name_models(params, paths)
    predictions: dict[str, list[Prediction]] = {
        model: list(read_jsonl(paths.predicted(model), Prediction)) for model in roles.names
    }
    tests = {row.id: row.tests for row in read_jsonl(paths.held_out, Row) if row.tests}
    further = {
        seed: {model: list(read_jsonl(paths.predicted(model, seed), Prediction)) for model in roles.trained}
        for seed in params.seeds
    }
    settings = Scoring(**params.eval_3a.model_dump(exclude={"metrics"}), **params.sandbox.model_dump())
    found = evaluate_models(predictions, tests, settings, params.seed, list_tasks(params), roles, further)
    given = ratings.read(paths.ratings, blind.names(predictions, params.seed), attention.list_checks(params.seed))
    stale = human.join(found, given, params.eval_3a.resamples, params.seed)
    if stale:
        say(f"eval_3a: warning: {stale} of {len(given.ratings)} ratings are of answers that have changed; left out")
    pairs = judged.join_orders(read_jsonl(paths.verdicts, Judgement), roles.pairs)
    people = human.compare_with_judge(judged.preferences(pairs), given, params.eval_3a.resamples, params.seed)
    judged.join(found, pairs, roles.pairs, people)
    for model, points in found.points.items():
        write_json(paths.scored(model), points)
    keep_only(paths.metrics / "eval_3a", [paths.scored(model) for model in found.points])
    write_json(paths.metrics / "intervals.json", found.intervals)
    write_json(paths.metrics / "signatures.json", found.signatures)
    write_text(paths.report / "table_3a.csv", table.as_csv(found.rows))
    for warning in found.warnings:
        say(f"eval_3a: warning: {warning}")
    return {}


if __name__ == "__main__":
    main("eval_3a", work)
