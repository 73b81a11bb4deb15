"""The tasks and models of the active profile, as evaluation and report take them."""

from __future__ import annotations

from relearn.evaluation.roles import ModelRoles, ScoredTask
from relearn.params import Params

METRICS = {
    "code": ("codebleu", "pass_at_1", "code_rate", "exact_match", "rouge_l", "bertscore", "bleu", "bpb"),
    "reviews": ("rouge_l", "bertscore", "bleu", "stance", "code_rate", "bpb"),
    "general": ("rouge_l", "bertscore", "bleu", "exact_match", "bpb"),
}


def list_tasks(params: Params) -> list[ScoredTask]:
    """The tasks in the order of the tables, with the metrics of each."""
    return [
        ScoredTask("code", "replayed", METRICS["code"]),
        ScoredTask("reviews", "new", METRICS["reviews"]),
        ScoredTask("general", "watched", METRICS["general"]),
    ]


def name_models(params: Params) -> ModelRoles:
    """base, 2b and, where an old task is replayed, 2c."""
    replayed = any(task.role == "replayed" for task in list_tasks(params))
    return ModelRoles("base", "2b", "2c" if replayed else None)
