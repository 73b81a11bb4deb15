"""Scores base, 2b and 2c on every task, with intervals; what 2b forgot and what 2c brought back.

Run by `dvc repro`, or `python -m stages.eval_3a`. Never decodes: it reads data/predictions/, and data/ratings/ when
people have rated the answers.
"""

from __future__ import annotations

from typing import Any

from relearn.evaluation import blind, human, ratings, seeds, table
from relearn.evaluation.models import evaluate_models
from relearn.files import read_jsonl, write_json, write_text
from relearn.params import Params
from relearn.params.evaluate import Scoring
from relearn.progress import say
from relearn.records import MODELS, Prediction, Row, SeedPrediction
from stages.paths import Paths
from stages.run import main


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes metrics/eval_3a/*.json, metrics/intervals.json, metrics/signatures.json, report/table_3a.csv."""
    predictions: dict[str, list[Prediction]] = {
        model: list(read_jsonl(paths.predicted(model), Prediction)) for model in MODELS
    }
    tests = {row.id: row.tests for row in read_jsonl(paths.held_out, Row) if row.tests}
    further = seeds.by_seed(read_jsonl(paths.predicted("seeds"), SeedPrediction)) if params.seeds else {}
    settings = Scoring(**params.eval_3a.model_dump(exclude={"metrics"}), **params.sandbox.model_dump())
    found = evaluate_models(predictions, tests, settings, params.seed, further=further)
    given = ratings.read(paths.ratings, blind.names(predictions, params.seed))
    stale = human.join(found, given, params.eval_3a.resamples, params.seed)
    if stale:
        say(f"eval_3a: warning: {stale} of {len(given)} ratings are of answers that have changed; left out")
    for model, points in found.points.items():
        write_json(paths.metrics / "eval_3a" / f"{model}.json", points)
    write_json(paths.metrics / "intervals.json", found.intervals)
    write_json(paths.metrics / "signatures.json", found.signatures)
    write_text(paths.report / "table_3a.csv", table.as_csv(found.rows))
    for warning in found.warnings:
        say(f"eval_3a: warning: {warning}")
    return {}


if __name__ == "__main__":
    main("eval_3a", work)
