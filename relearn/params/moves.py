"""Keys that have moved, and where each is now, and keys that are new; `python -m stages.parameters --upgrade FILE`
rewrites an earlier profile."""

from __future__ import annotations

from typing import Any

RENAMED = {  # in the order in which an upgrade makes them
    "finetune.lr_min": "lr_range.min",
    "finetune.lr_max": "lr_range.max",
    "finetune.epochs_2b": "finetune_2b.epochs",
    "finetune.epochs_2c": "finetune_2c.epochs",
    "finetune.precision": "compute.precision",
    "finetune.quantize": "compute.quantize",
    "eval_3a.execute": "sandbox.execute",
    "eval_3a.timeout_s": "sandbox.timeout_s",
    "eval_3a.memory_mb": "sandbox.memory_mb",
    "finetune_2b.replay": "finetune_2b.methods.replay.share",
    "finetune_2b.replay_control": "finetune_2b.methods.replay.control",
}
BY_TASK = {  # keys that were set once and are now set for each task
    "prepare.source": "prepare.<task>.source",
    "prepare.max_chars": "prepare.<task>.max_chars",
    "generate.prompt": "generate.<task>.prompt",
    "repair.instructions": "repair.<task>.rows",
    "repair.min_chars": "repair.<task>.checks",
    "repair.max_chars": "repair.<task>.checks",
    "repair.boilerplate": "repair.<task>.checks",
    "repair.contradictions": "repair.<task>.checks",
    "repair.echo": "repair.<task>.checks",
    "repair.similarity": "repair.<task>.checks",
}
MOVES = RENAMED | BY_TASK
ADDED: dict[str, Any] = {  # what an upgrade gives a profile that lacks it: the behaviour from before the key existed
    "generate.mode": "live",
    "generate.batch": {"price": 0.5, "requests": 50000, "megabytes": 100, "poll_s": 30},
    "generate.reasoning_effort": None,
    "generate.extra_body": None,
    "repair.duplicates": "drop",
    "chat.arguments": {},
    "chat.date": "2026-01-01",
    "predict.likelihoods": None,
    "predict.decode_scales": [],  # what was listed in predict.scales before there was a curve
    "predict.scale_rows": None,
    "eval_3a.cut_share": 0.1,
    "eval_3a.most_lost": None,
    "report.caption": None,
    "drift": {"prompts": 24, "answer_tokens": 64, "batch_size": 16},
    "finetune_2b.methods.kl": {"beta": 1.0},
    "finetune_2b.methods.dft": {},
    "finetune_2b.methods.asft": {"alpha": 0.05, "direction": "forward"},
    "finetune_2b.methods.eaft": {"top": 20, "alpha": 1.0},
    "finetune_2b.methods.stm": {"threshold": 2.5},
    "finetune_2b.methods.l2_init": {"strength": 1e-3},
    "finetune_2b.methods.self_replay": {"mode": "kl", "beta": 1.0, "per_update": 4},
    "finetune_2b.sample": {
        "count": 64,
        "prompts": "template",
        "prompt_tokens": 48,
        "answer_tokens": 96,
        "batch_size": 16,
    },
    "judge": None,
}
# the same, for groups of one kind
ADDED_TO_KIND: dict[str, tuple[str, Any]] = {"launch.shard": ("torchrun", False)}
