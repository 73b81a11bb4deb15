"""Text and code metrics, likelihood, sandboxed execution, resampling, forgetting, probes.

`score_task` scores one model on one task; `evaluate_models` compares base, 2b and 2c. Both are looked up on first
use: they bring `evaluate` and torch, which reading the probes or the ratings does not need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relearn.scoring.evaluation import Evaluation, evaluate_models
    from relearn.scoring.tasks import TaskScores, score_task

__all__ = ["Evaluation", "TaskScores", "evaluate_models", "score_task"]

_HOMES = {
    "Evaluation": "evaluation",
    "evaluate_models": "evaluation",
    "TaskScores": "tasks",
    "score_task": "tasks",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"relearn.scoring.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
