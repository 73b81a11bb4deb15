"""The tasks and models of the active profile, as evaluation and report take them."""

from __future__ import annotations

from relearn.evaluation.roles import ModelRoles, ScoredTask
from relearn.files import read_json_lines
from relearn.params import Params
from stages.paths import Paths


def list_tasks(params: Params) -> list[ScoredTask]:
    """The tasks in the order of the tables, with the metrics of each."""
    metrics = params.eval_3a.metrics.by_task
    return [ScoredTask(name, task.role, tuple(metrics[name])) for name, task in params.tasks.items()]


def name_models(params: Params, paths: Paths) -> ModelRoles:
    """base, 2b, 2c where it is not a copy of 2b, and every 2b scaled (`2b@0.5`) that predict decoded, least first."""
    scaled = [file.stem for file in paths.predictions.glob("2b@*.jsonl")]
    scaled.sort(key=lambda name: float(name.partition("@")[2]))
    answers = paths.predicted("2c")
    copied = answers.is_file() and next(read_json_lines(answers), None) is None
    replayed = "2c" if params.named("replayed") and not copied else None
    return ModelRoles("base", "2b", replayed, tuple(scaled))
