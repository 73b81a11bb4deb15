"""Keys that have moved or are new; `python -m stages.parameters --upgrade` mends a profile that has them as they were."""

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
BY_TASK = {  # what was said once and is now said of each task
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
# Keys that an earlier version did not have, and the value under which nothing changes.
ADDED: dict[str, Any] = {"chat.arguments": {}, "chat.date": "2026-01-01"}
