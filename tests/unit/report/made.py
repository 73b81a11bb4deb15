"""Documents as eval_3a, probe_3b, repair and generate write them, small and with chosen values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relearn.evaluation.roles import ModelRoles, ScoredTask
from relearn.report.words import TaskText, Words

MODELS = ("base", "2b", "2c")
TASKS = [
    ScoredTask("code", "replayed", ("codebleu", "pass_at_1", "bpb")),
    ScoredTask("reviews", "new", ("rouge_l", "code_rate", "bpb")),
    ScoredTask("general", "watched", ("rouge_l", "exact_match")),
]
TEXTS = {
    "code": TaskText("writing code", "the old skill, which 2c replays"),
    "reviews": TaskText("replying to reviews", "the new skill, which 2b is trained on"),
    "general": TaskText("general instructions", "other instructions, which are never replayed"),
}
WORDS = Words(TASKS, ModelRoles(*MODELS), TEXTS)
Scores = Mapping[str, tuple[float, float, float]]  # metric → its value under base, 2b, 2c

CODE: Scores = {"codebleu": (0.9, 0.3, 0.85), "pass_at_1": (0.8, 0.2, 0.75), "bpb": (0.2, 1.2, 0.3)}
REVIEWS: Scores = {"rouge_l": (0.1, 0.6, 0.4), "code_rate": (0.2, 0.0, 0.1), "bpb": (3.0, 0.5, 0.9)}
GENERAL: Scores = {"rouge_l": (0.8, 0.2, 0.3), "exact_match": (0.5, 0.1, 0.1)}


def comparison(kind: str, metric: str, scores: tuple[float, float, float], half: float) -> dict[str, Any]:
    """An entry of `comparisons`: the interval of the change reaches `half` to each side."""
    base, second, third = scores
    turn = -1 if metric == "bpb" else 1
    lost = turn * (base - second)
    value = lost if kind == "forgetting" else turn * (third - second)
    whole = base if kind == "forgetting" else lost
    defined = kind == "forgetting" or lost - half > 0
    return {
        "kind": kind,
        "metric": metric,
        "before": "base" if kind == "forgetting" else "2b",
        "after": "2b" if kind == "forgetting" else "2c",
        "value": round(value, 4),
        "low": round(value - half, 4),
        "high": round(value + half, 4),
        "ratio": round(value / whole, 4) if defined else None,
        "ratio_low": round((value - half) / whole, 4) if defined else None,
        "ratio_high": round((value + half) / whole, 4) if defined else None,
        "p": 0.001,
        "p_holm": 0.021 if abs(value) > half else 0.4,
        "detectable": round(1.4 * half, 4),
        "better": None if metric == "code_rate" else (value > 0) == (kind == "recovery"),
    }


def intervals(half: float = 0.05, **tasks: Scores) -> dict[str, Any]:
    """metrics/intervals.json over the tasks given, by default all three."""
    chosen = tasks or {"code": CODE, "reviews": REVIEWS, "general": GENERAL}
    return {
        "cut_share": 0.1,
        "confidence": 0.95,
        "resamples": 1000,
        "swaps": 10000,
        "seed": 7,
        "claim": "these checkpoints, not the method: one training seed",
        "warnings": [],
        "tasks": {
            task: {
                "items": 220,
                "clusters": 50,
                "counts": {model: {"items": 220, "cut": 0} for model in MODELS},
                "scores": {
                    metric: {
                        model: {
                            "value": value,
                            "low": round(value - half / 2, 4),
                            "high": round(value + half / 2, 4),
                            "items": 220,
                        }
                        for model, value in zip(MODELS, values, strict=True)
                    }
                    for metric, values in scores.items()
                },
                "flips": {
                    metric: {"base to 2b": {"lost": 131, "gained": 2, "kept": 44}}
                    for metric in ("pass_at_1", "exact_match")
                    if metric in scores
                },
                "comparisons": [
                    comparison(kind, metric, values, half)
                    for metric, values in scores.items()
                    for kind in ("forgetting", "recovery")
                ],
            }
            for task, scores in chosen.items()
        },
    }


def answer(output: str, passed: bool = True, likeness: float = 1.0, **more: Any) -> dict[str, Any]:
    """One model's answer in metrics/probe_3b.json."""
    return {
        "output": output,
        "passed": passed,
        "reason": "" if passed else "does not hold cheese",
        "characters": len(output),
        "words": len(output.split()),
        "repeated_share": 0.0,
        "loop": False,
        "distinct_1": 1.0,
        "distinct_2": 1.0,
        "echo_share": 0.0,
        "end_reached": True,
        "code": False,
        "bpb": None,
        "similarity_to_base": likeness,
    } | more


def probes(**answers: tuple[dict[str, Any], dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
    """metrics/probe_3b.json: by the probe's id, the answers of base, 2b and 2c."""
    chosen = answers or {
        "poem": (answer("sea\nsnow"), answer("sea\nice", True, 0.6), answer("sea\nsnow")),
        "song": (answer("la la"), answer("I agree with you.", False, 0.0), answer("la la la", False, 0.8)),
        "scene": (answer("INT. A room"), answer("You are right.", False, 0.2), answer("INT. A room")),
        "debate": (answer("?", False), answer("For: yes", True, 0.0), answer("?", False)),
    }
    return {
        "number": len(chosen),
        "passed": {m: sum(a[i]["passed"] for a in chosen.values()) for i, m in enumerate(MODELS)},
        "probes": [
            {
                "id": name,
                "kind": name,
                "instruction": f"Write a {name}.",
                "models": dict(zip(MODELS, given, strict=True)),
            }
            for name, given in chosen.items()
        ],
    }


def curve(limit: dict[str, Any] | None = None) -> dict[str, Any]:
    """The `curve` of metrics/intervals.json: half of the change learns most and forgets little."""
    factors = [0, 0.5, 1, 1.5]
    changes = {"code": (0, 0.02, 0.13, 0.4), "reviews": (0, -1.0, -1.2, -1.1), "general": (0, 0.1, 0.5, 1.2)}
    tasks = {
        task.name: {
            "role": task.role,
            "items": 40,
            "clusters": 30,
            "points": [
                {
                    "factor": factor, "value": round(2 + change, 4), "low": round(1.9 + change, 4), "high": round(2.1 + change, 4),
                    "change": change, "change_low": change - 0.01, "change_high": change + 0.01,
                    "share": change / changes[task.name][2], "share_low": 0.0, "share_high": 1.0,
                }
                for factor, change in zip(factors, changes[task.name], strict=True)
            ],
        }
        for task in TASKS
    }  # fmt: skip
    return {"factors": factors, "tasks": tasks} | ({} if limit is None else {"limit": limit})
