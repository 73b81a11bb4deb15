"""The tasks and models of the active profile, as evaluation and report take them."""

from __future__ import annotations

from relearn.evaluation.roles import ModelRoles, ScoredTask
from relearn.params import Params


def list_tasks(params: Params) -> list[ScoredTask]:
    """The tasks in the order of the tables, with the metrics of each."""
    metrics = params.eval_3a.metrics.by_task
    return [ScoredTask(name, task.role, tuple(metrics[name])) for name, task in params.tasks.items()]


def name_models(params: Params) -> ModelRoles:
    """base, 2b and, where an old task is replayed, 2c."""
    replayed = bool(params.named("replayed"))
    return ModelRoles("base", "2b", "2c" if replayed else None)
