"""One training run: `transformers.Trainer` with our batches, our order, and the losses of all tasks watched.

Over the stock trainer: rows grouped by length in an order that a resumed run repeats, no work where the loss does
not look (`quick`), the held-out loss of every task each `eval_every` updates, and a stop at the first loss that is no number.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from relearn.progress import Progress, say
from relearn.records import InputError
from relearn.tuning.checkpoints import last_whole
from relearn.tuning.quick import quick
from relearn.tuning.rows import IGNORED, GroupedSampler, Rows, collate

_LEAST_FREE = 1 << 20  # bytes; a disk with less counts as full


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: what a round or the base training sets."""

    epochs: float
    lr: float
    batch_size: int
    accumulation: int
    shape: str  # linear, cosine, constant, or cosine_with_min_lr
    warmup_steps: float  # updates, or a share of them below 1
    weight_decay: float
    max_grad_norm: float
    optimizer: str
    seed: int
    device: str
    bf16: bool = False
    gradient_checkpointing: bool = False
    eval_every: int = 50
    checkpoint_every: int = 100
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a run leaves besides the weights.

    `history` holds, for each look, `step`, `train` (mean loss since the last look) and each task's held-out loss,
    in nats per response token; `steps` the updates; `tokens_seen` and `seconds` of this process alone.
    """

    history: list[dict[str, float]]
    steps: int
    tokens_seen: int
    seconds: float


def train(
    model: Any,
    rows: Rows,
    held_out: Mapping[str, Rows],
    pad: int,
    schedule: Schedule,
    scratch: Path,
    label: str,
) -> Outcome:
    """Trains `model` in place, going on from the last whole checkpoint in `scratch` if there is one.

    Raises InputError on a loss that is not a number; the checkpoints before it stay. OSError when the disk is full.
    """
    arguments = TrainingArguments(
        output_dir=str(scratch),
        num_train_epochs=schedule.epochs,
        learning_rate=schedule.lr,
        per_device_train_batch_size=schedule.batch_size,
        gradient_accumulation_steps=schedule.accumulation,
        lr_scheduler_type=schedule.shape,
        lr_scheduler_kwargs=dict(schedule.options),
        warmup_steps=schedule.warmup_steps,
        weight_decay=schedule.weight_decay,
        max_grad_norm=schedule.max_grad_norm,
        optim="adamw_bnb_8bit" if schedule.optimizer == "adamw_8bit" else "adamw_torch_fused",
        seed=schedule.seed,
        data_seed=schedule.seed,
        use_cpu=schedule.device == "cpu",
        bf16=schedule.bf16,
        activation_checkpointing=schedule.gradient_checkpointing,
        save_strategy="steps",
        save_steps=schedule.checkpoint_every,
        save_total_limit=2,
        logging_strategy="no",
        eval_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=schedule.device == "cuda",
        average_tokens_across_devices=True,
    )
    trainer = _Trainer(
        model=model, args=arguments, train_dataset=rows, data_collator=partial(collate, pad=pad)
    )
    trainer.pad, trainer.group_seed = pad, schedule.seed
    trainer.remove_callback(PrinterCallback)
    watch = _Watch(trainer, held_out, pad, schedule, label)
    trainer.add_callback(watch)
    start = last_whole(scratch)
    if start is not None:
        say(f"{label}: going on from {start.name}")
    begun = time.monotonic()
    try:
        with quick(model):
            trainer.train(resume_from_checkpoint=str(start) if start else None)
    except (RuntimeError, SafetensorError):
        # neither torch nor safetensors says in a type of its own that a checkpoint found the disk full
        if shutil.disk_usage(scratch).free < _LEAST_FREE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(scratch)) from None
        raise
    return Outcome(
        watch.history(), int(trainer.state.global_step), trainer.tokens_seen, time.monotonic() - begun
    )


class _Trainer(Trainer):
    """Our order of rows, and a count of the tokens that are not padding."""

    pad = 0
    group_seed = 0
    tokens_seen = 0
    loss_sum = 0.0
    looked_at = 0

    def _get_train_sampler(self, train_dataset: Any = None) -> GroupedSampler:
        rows = cast(Rows, train_dataset if train_dataset is not None else self.train_dataset)
        return GroupedSampler(
            [len(row.ids) for row in rows.rows], self.args.train_batch_size, self.group_seed
        )

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        self.tokens_seen += int(inputs["input_ids"].ne(self.pad).sum())
        loss = super().training_step(model, inputs, num_items_in_batch)
        value = loss.item()
        if not math.isfinite(value):
            raise InputError(
                f"the loss is {value} at update {self.state.global_step + 1}; "
                "lower lr (the last good checkpoint is kept)"
            )
        self.loss_sum += value
        return loss

    def train_loss(self) -> float | None:
        """The mean loss of the updates since the last call, or None when there was none."""
        updates = self.state.global_step - self.looked_at
        mean = self.loss_sum / updates if updates else None
        self.loss_sum, self.looked_at = 0.0, self.state.global_step
        return mean


class _Watch(TrainerCallback):
    """Shows progress, and looks at the held-out losses every `eval_every` updates and at both ends."""

    def __init__(
        self, trainer: _Trainer, held_out: Mapping[str, Rows], pad: int, schedule: Schedule, label: str
    ) -> None:
        self.trainer, self.held_out, self.pad, self.schedule, self.label = (
            trainer,
            held_out,
            pad,
            schedule,
            label,
        )
        self.bar: Progress | None = None
        self.begun = time.monotonic()

    def history(self) -> list[dict[str, float]]:
        """The looks of the whole run, those before a kill included: the trainer's state carries them.

        Names are sorted, as a checkpoint sorts them: a resumed run must write what an uninterrupted one writes.
        """
        looks = self.trainer.state.log_history
        return [
            {name: value for name, value in sorted(look.items()) if name not in ("epoch", "look")}
            for look in looks
            if "look" in look
        ]

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.bar = Progress(self.label, state.max_steps, "updates")
        self.bar.update(state.global_step)
        self.begun = time.monotonic()
        self.trainer.looked_at = state.global_step
        if state.global_step == 0:
            self._look(state)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        assert self.bar is not None
        rate = self.trainer.tokens_seen / max(time.monotonic() - self.begun, 1e-9)
        self.bar.update(1, f"{rate:,.0f} tokens/s")
        if state.global_step % self.schedule.eval_every == 0 or state.global_step == state.max_steps:
            self._look(state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        assert self.bar is not None
        self.bar.__exit__(None, None, None)

    def _look(self, state: TrainerState) -> None:
        look: dict[str, float] = {"look": 1, "step": state.global_step}
        train_loss = self.trainer.train_loss()
        if train_loss is not None:
            look["train"] = round(train_loss, 5)
        for task, rows in self.held_out.items():
            look[task] = round(mean_loss(self.trainer.model, rows, self.pad, 32), 5)
        state.log_history.append(look)


def mean_loss(model: Any, rows: Rows, pad: int, batch_size: int) -> float:
    """Mean negative log-likelihood of a response token over `rows`, in nats."""
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    ordered = sorted(rows.rows, key=lambda row: len(row.ids))
    with torch.no_grad():
        for start in range(0, len(ordered), batch_size):
            batch = {
                name: value.to(model.device)
                for name, value in collate(ordered[start : start + batch_size], pad).items()
            }
            tokens = int(batch["shift_labels"].ne(IGNORED).sum())
            total += float(model(**batch, num_items_in_batch=1).loss)
            count += tokens
    model.train(was_training)
    return total / max(count, 1)
