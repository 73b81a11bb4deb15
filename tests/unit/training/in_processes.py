"""What test_shard.py runs: small LoRA rounds in this process, or, under torchrun, in its share of them.

    python -m tests.unit.training.in_processes FOLDER

Writes FOLDER/<case>.safetensors, the adapter, and FOLDER/<case>.<rank>.json, what this process saw. Where accelerate's
environment asks for FSDP, accelerate is told that it works on CPUs too, which it leaves out.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType
from peft import get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import set_seed

from relearn.launched import end_together
from relearn.models import set_seed_and_threads
from relearn.params.finetune import ALL_LINEAR, Lora
from relearn.training import rounds, scratch, shard
from relearn.training.method import load_method
from relearn.training.trainer import Schedule, train
from tests.unit.tiny import shape
from tests.unit.training.test_trainer import HELD_OUT, ROWS, WORDS

RANK, PROCESSES = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
LORA = Lora(rank=2, alpha=4, dropout=0.0, targets=[ALL_LINEAR])
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "dft": {},
    "kl": {"beta": 1.0},
    "stm": {"threshold": 300.0},
    "l2_init": {"strength": 0.01},
    # of each update one row: one of the two processes has none
    "self_replay": {"mode": "kl", "beta": 1.0, "per_update": 1},
}
LONG = ("long", "again")  # two epochs, the latter from a checkpoint within the second
# beside the methods: rounds that differ from the usual one in this
CHANGES: dict[str, dict[str, Any]] = {
    "checkpointing": {"gradient_checkpointing": True},
    "accumulation": {"batch_size": 4, "accumulation": 2},
}


def make_model(dtype: torch.dtype = torch.float32) -> Any:
    """A Llama of three blocks, nearly all of whose weights are frozen, with a new adapter."""
    set_seed(0)
    base = scratch.new_model(WORDS, shape(layers=3, hidden=64, intermediate=160))
    return rounds.new_adapter(base.to(dtype), LORA)


def run(case: str, folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """A round, and what it left."""
    model = make_model(dtype)
    method = None
    if case in OPTIONS:
        method = load_method(case, SimpleNamespace(**OPTIONS[case]), 3)
        method.samples = HELD_OUT["code"].rows
    schedule = Schedule(
        epochs=2 if case in LONG else 1, lr=0.003, batch_size=8, accumulation=1, shape="linear", warmup_steps=2, weight_decay=0.0,
        max_grad_norm=1.0, optimizer="adamw", seed=3, device="cpu", eval_every=1, checkpoint_every=2,
        processes=PROCESSES, shard=PROCESSES > 1 and not shard.is_left_to_accelerate(),
    )  # fmt: skip
    schedule = Schedule(**{**vars(schedule), **CHANGES.get(case, {})})
    outcome = train(
        model, ROWS, HELD_OUT, WORDS.pad_token_id, schedule, folder / "checkpoints" / case, case, None, method
    )
    held, whole = shard.count_bytes(model)
    trained = sum(weight.numel() * 4 for weight in model.parameters() if weight.requires_grad)
    (folder / f"{case}.{RANK}.json").write_text(
        json.dumps({"history": outcome.history, "held": held, "whole": whole, "trained": trained})
    )
    if RANK == 0:
        save_file(get_peft_model_state_dict(model, outcome.gathered), folder / f"{case}.safetensors")


def list_cases(by_accelerate: bool) -> list[str]:
    """The rounds to run; methods that compare are none for accelerate."""
    methods = [name for name in OPTIONS if not (by_accelerate and load_method(name, None, 3).compares)]
    return [*methods, *CHANGES]


def _shard_on_cpus() -> None:
    plain = AcceleratorState.__init__

    def begin(self: Any, *arguments: Any, fsdp_plugin: Any = None, **more: Any) -> None:
        plain(self, *arguments, fsdp_plugin=fsdp_plugin, **more)
        if fsdp_plugin is not None:
            self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, fsdp_plugin

    AcceleratorState.__init__ = begin


def main(folder: Path) -> None:
    """All cases; two epochs, and again as if they had been killed after update 8 of 10; and one in bf16."""
    set_seed_and_threads(1, 0)
    if shard.is_left_to_accelerate():
        _shard_on_cpus()
    for case in list_cases(shard.is_left_to_accelerate()):
        run(case, folder)
    run("long", folder)
    if RANK == 0:
        shutil.copytree(folder / "checkpoints" / "long", folder / "checkpoints" / "again")
        shutil.rmtree(folder / "checkpoints" / "again" / "checkpoint-10")
    torch.distributed.barrier() if PROCESSES > 1 else None
    run("again", folder)
    run("bf16", folder, torch.bfloat16)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    end_together()
