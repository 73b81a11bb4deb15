"""One training run: `transformers.Trainer` with our batches, our order, and the losses of all tasks watched.

Over the stock trainer: rows grouped by length in an order that a resumed run repeats, no work where the loss does
not look (`quick`), the held-out loss of every task each `eval_every` updates, and a stop at the first loss that is not
a number.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from peft.helpers import disable_input_dtype_casting
from safetensors import SafetensorError
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from relearn.errors import InputError
from relearn.progress import Progress, say
from relearn.training.checkpoints import find_checkpoint
from relearn.training.method import Method, Part
from relearn.training.passes import Passes
from relearn.training.quick import speed_up
from relearn.training.rows import IGNORED, EncodedRow, EncodedRows, GroupedSampler, collate
from relearn.training.shard import count_bytes, is_left_to_accelerate, share_gradients, share_out

_LEAST_FREE = 1 << 20  # bytes; a disk with less counts as full
_MOST_LOGITS = 1 << 28  # of a look at held-out rows at a time: 1 GiB in fp32


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
    processes: int = 1  # processes that share each update; they were started together (torchrun, accelerate)
    shard: bool = False  # each process keeps only a part of the frozen weights
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingResult:
    """What a run leaves besides the weights.

    `history` holds, for each measurement, `step`, `train` (mean loss since the last one) and each task's held-out loss,
    in nats per response token; `rows` those trained on; `steps` the updates; `tokens_seen` and `seconds` of this
    process alone; `gathered` the weights, where each process holds only a part of them (FSDP, DeepSpeed), else None.
    """

    history: list[dict[str, float]]
    rows: int
    steps: int
    tokens_seen: int
    seconds: float
    gathered: dict[str, Any] | None = None


def train(
    model: Any,
    rows: EncodedRows,
    held_out: Mapping[str, EncodedRows],
    pad: int,
    schedule: Schedule,
    scratch: Path,
    label: str,
    live: Path | None = None,
    method: Method | None = None,
) -> TrainingResult:
    """Trains `model` in place, going on from the last whole checkpoint in `scratch` if there is one.

    `method` may mask rows, add some, and change the loss.

    `live` is a folder for DVCLive's curves, to be watched while training; an earlier run's are replaced.

    With several processes each takes its part of the same updates, passes first and then rows: `accumulation` or
    `batch_size` is a multiple of them.

    Raises InputError on a loss that is not a number; the checkpoints before it stay. OSError when the disk is full.
    """
    count = schedule.processes
    passes, batch = schedule.accumulation, schedule.batch_size
    if passes % count == 0:
        passes //= count
    else:
        batch //= count
    arguments = TrainingArguments(
        output_dir=str(scratch),
        num_train_epochs=schedule.epochs,
        learning_rate=schedule.lr,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=passes,
        lr_scheduler_type=schedule.shape,
        lr_scheduler_kwargs=dict(schedule.options),
        warmup_steps=schedule.warmup_steps,
        weight_decay=schedule.weight_decay,
        max_grad_norm=schedule.max_grad_norm,
        optim="adamw_bnb_8bit" if schedule.optimizer == "adamw_8bit" else "adamw_torch_fused",
        seed=schedule.seed,
        data_seed=schedule.seed,
        use_cpu=schedule.device == "cpu",
        ddp_backend="gloo" if schedule.device == "cpu" and count > 1 else None,
        ddp_find_unused_parameters=False,
        bf16=schedule.bf16,
        activation_checkpointing=schedule.gradient_checkpointing,
        save_strategy="steps",
        save_steps=schedule.checkpoint_every,
        save_total_limit=2,
        logging_strategy="no",
        eval_strategy="no",
        logging_nan_inf_filter=False,  # it waits for the device at each pass, to do what is done below
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=schedule.device == "cuda",
        average_tokens_across_devices=True,
    )
    if arguments.world_size != count:
        raise RuntimeError(f"{count} processes should train, but {arguments.world_size} do")
    if count == 1 and arguments.n_gpu > 1:
        # The trainer would take all the cards that it sees, and as many times the rows of a pass.
        arguments._n_gpu = 1
    with arguments.main_process_first():  # the first removes what is half-written
        start = find_checkpoint(scratch)
    if start is not None and arguments.process_index == 0:
        say(f"{label}: going on from {start.name}")
    if schedule.shard:
        share_out(model, arguments.device, count)
        held, whole = count_bytes(model)
        if arguments.process_index == 0:
            say(f"{label}: {held / 1e6:,.1f} of {whole / 1e6:,.1f} MB of weights in this process, one of {count}")
    with nullcontext() if is_left_to_accelerate() else speed_up(model) as head:  # it shards the model after this
        own = None if method is None else Passes(model, head, together=schedule.shard)
        if method is not None and own is not None:
            rows = method.begin(own, rows, pad)
        trainer = _Trainer(model=model, args=arguments, train_dataset=rows, data_collator=partial(collate, pad=pad))
        trainer.pad, trainer.schedule, trainer.method, trainer.passes = pad, schedule, method, own
        trainer.remove_callback(PrinterCallback)
        watch = _Watch(trainer, held_out, pad, schedule, label, live)
        trainer.add_callback(watch)
        begun = time.monotonic()
        try:
            # Autocast sees to precisions; peft would cast each layer's input to fp32 first, and keep that.
            with disable_input_dtype_casting(model, active=schedule.bf16):
                trainer.train(resume_from_checkpoint=str(start) if start else None)
        except (RuntimeError, SafetensorError):
            # neither torch nor safetensors says in a type of its own that a checkpoint found the disk full
            if shutil.disk_usage(scratch).free < _LEAST_FREE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(scratch)) from None
            raise
    seconds = time.monotonic() - begun
    gathered = trainer.gather() if trainer.is_sharded() else None
    steps = int(trainer.state.global_step)
    return TrainingResult(watch.history(), len(rows), steps, trainer.tokens_seen, seconds, gathered)


class _Trainer(Trainer):
    """Our order of rows, and a count of the tokens that are not padding."""

    pad = 0
    schedule: Schedule
    order: GroupedSampler
    method: Method | None = None
    passes: Passes | None = None
    update, part = -1, 0  # of the last forward pass
    loss_sum = 0.0
    looked_at = 0

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        # on the device: to read a number there is to wait until it has done all that it was given
        self.counted: torch.Tensor | int = 0
        self.losses: list[torch.Tensor] = []  # of this update's passes

    @property
    def tokens_seen(self) -> int:
        """Tokens that are not padding, of this process."""
        return int(self.counted)

    def _get_train_sampler(self, train_dataset: Any = None) -> GroupedSampler:
        rows = cast(EncodedRows, train_dataset if train_dataset is not None else self.train_dataset)
        sampler = GroupedSampler([len(row.ids) for row in rows.rows], self.schedule.batch_size, self.schedule.seed)
        if self.schedule.processes > 1:
            sampler.fill = self.args.train_batch_size * self.schedule.processes
        self.order = sampler
        return sampler

    def is_sharded(self) -> bool:
        """Each process holds only a part of the weights, the adapter's too: accelerate shards them."""
        return bool(self.is_fsdp_enabled or self.is_deepspeed_enabled)

    def gather(self) -> dict[str, Any] | None:
        """The trained weights, whole, in the first process, with others or none beside them; all processes call it."""
        if not self.is_fsdp_enabled:
            return cast("dict[str, Any] | None", self.accelerator.get_state_dict(self.model_wrapped))
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

        options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
        return get_model_state_dict(self.model_wrapped, options=options)

    def _wrap_model(self, model: Any, training: bool = True, dataloader: Any = None) -> Any:
        if not (self.schedule.shard and training):
            return super()._wrap_model(model, training, dataloader)
        # accelerate refuses to share gradients where some weights are sharded; of it autocast is wanted alone
        autocast = self.accelerator.prepare_model(model, device_placement=False, evaluation_mode=True)
        return share_gradients(autocast)

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)  # a file of each process; the state that says all is written comes next
        self.accelerator.wait_for_everyone()

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        method, passes, processes = self.method, self.passes, self.schedule.processes
        if num_items_in_batch is not None:  # a method may have masked all labels of an update
            num_items_in_batch = num_items_in_batch.clamp(min=1)
        if method is None or passes is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        outputs = None
        if method.has_token_loss:
            losses = passes.losses(inputs, method.token_loss, method.reads_base, model)
            loss = losses.sum() / num_items_in_batch * processes
        else:
            loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        added = method.add_loss(passes, self._next_part())
        loss = loss if added is None else loss + added * processes
        return (loss, outputs) if return_outputs else loss

    def _next_part(self) -> Part:
        update, count = self.state.global_step, self.schedule.processes
        self.part = self.part + 1 if update == self.update else 0
        self.update = update
        index = self.part * count + self.args.process_index
        return Part(update, index, self.current_gradient_accumulation_steps * count)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        self.counted = self.counted + inputs["input_ids"].ne(self.pad).sum()
        loss = super().training_step(model, inputs, num_items_in_batch)
        self.losses.append(loss.detach())
        if self.accelerator.sync_gradients:  # the update's last pass: what it learned is not applied yet
            self._check_losses()
        return loss

    def _check_losses(self) -> None:
        """Adds up the losses of an update's passes; waits for the device, once an update."""
        losses = torch.stack(self.losses)
        self.losses = []
        if self.schedule.processes > 1:  # all stop at a loss that is not a number, or none does
            losses = self.accelerator.gather(losses).view(self.schedule.processes, -1).mean(0)
        for value in losses.tolist():
            if not math.isfinite(value):
                raise InputError(
                    f"the loss is {value} at update {self.state.global_step + 1}; "
                    "lower lr (the last good checkpoint is kept)"
                )
            self.loss_sum += value

    def train_loss(self) -> float | None:
        """The mean loss of the updates since the last call, or None when there was none."""
        updates = self.state.global_step - self.looked_at
        mean = self.loss_sum / updates if updates else None
        self.loss_sum, self.looked_at = 0.0, self.state.global_step
        return mean


class _Watch(TrainerCallback):
    """Shows progress, and measures the held-out losses every `eval_every` updates and at both ends."""

    def __init__(
        self,
        trainer: _Trainer,
        held_out: Mapping[str, EncodedRows],
        pad: int,
        schedule: Schedule,
        label: str,
        folder: Path | None,
    ) -> None:
        self.trainer, self.held_out, self.pad = trainer, held_out, pad
        self.schedule, self.label, self.folder = schedule, label, folder
        self.live: Any = None
        self.bar: Progress | None = None
        self.begun = time.monotonic()

    def history(self) -> list[dict[str, float]]:
        """The measurements of the whole run, those before a kill included: the trainer's state carries them.

        Names are sorted, as a checkpoint sorts them: a resumed run must write what an uninterrupted one writes.
        """
        looks = self.trainer.state.log_history
        return [
            {name: value for name, value in sorted(look.items()) if name not in ("epoch", "look")}
            for look in looks
            if "look" in look
        ]

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            self.bar = Progress(self.label, state.max_steps, "updates")
            self.bar.update(state.global_step)
            if self.folder is not None:
                self._open_live(self.folder)
        self.begun = time.monotonic()
        self.trainer.looked_at = state.global_step
        if state.global_step == 0:
            self._look(state)

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        # Over several processes, the epoch that a resumed run begins in does not reach the sampler by itself: accelerate
        # looks for it within two wrappers, and the skipping of what is done is a third.
        self.trainer.order.set_epoch(int(state.epoch or 0))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.bar is not None:
            rate = self.trainer.tokens_seen / max(time.monotonic() - self.begun, 1e-9)
            self.bar.update(1, f"{rate:,.0f} tokens/s")
        if state.global_step % self.schedule.eval_every == 0 or state.global_step == state.max_steps:
            self._look(state)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.bar is not None:
            self.bar.__exit__(None, None, None)
        if self.live is not None:
            self.live.end()

    def _open_live(self, folder: Path) -> None:
        from dvclive.live import Live
        from scmrepo.exceptions import SCMError

        # It is told to leave git, dvc.yaml and the experiments alone: the curves here are for watching.
        quiet: dict[str, Any] = {"report": None, "save_dvc_exp": False, "dvcyaml": None, "monitor_system": False}
        try:
            self.live = Live(str(folder), resume=False, **quiet)
        except SCMError:  # it asks git for a commit all the same
            say(f"{self.label}: no live curves in {folder.name}/ until git has a first commit")
            return
        for look in self.history():  # those before a kill
            self._show(look)

    def _show(self, look: Mapping[str, float]) -> None:
        self.live.step = int(look["step"])
        for name, value in look.items():
            if name not in ("look", "step"):
                self.live.log_metric(f"loss/{name}", value)
        self.live.make_summary()

    def _look(self, state: TrainerState) -> None:
        look: dict[str, float] = {"look": 1, "step": state.global_step}
        train_loss = self.trainer.train_loss()
        if train_loss is not None:
            look["train"] = round(train_loss, 5)
        model = self.trainer.model_wrapped if self.trainer.is_sharded() else self.trainer.model
        for task, rows in self.held_out.items():
            look[task] = round(measure_loss(model, rows, self.pad, 32), 5)
        state.log_history.append(look)
        if self.live is not None:
            self._show(look)


def measure_loss(model: Any, rows: EncodedRows, pad: int, batch_size: int) -> float:
    """Mean negative log-likelihood of a response token over `rows`, in nats.

    `batch_size` rows are read at a time, or as many as have `_MOST_LOGITS`.
    """
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    most = _MOST_LOGITS // getattr(model, "module", model).config.get_text_config().vocab_size
    with torch.no_grad():
        for some in _take(sorted(rows.rows, key=lambda row: len(row.ids)), batch_size, most):
            batch = {name: value.to(model.device) for name, value in collate(some, pad).items()}
            tokens = int(batch["shift_labels"].ne(IGNORED).sum())
            total += float(model(**batch, num_items_in_batch=1).loss)
            count += tokens
    model.train(was_training)
    return total / max(count, 1)


def _take(rows: Sequence[EncodedRow], most_rows: int, most_positions: int) -> Iterator[Sequence[EncodedRow]]:
    """Rows, the shorter ones first, some at a time: one at least, and no more than either number allows."""
    start = 0
    while start < len(rows):
        end = start + 1
        while end < len(rows) and end - start < most_rows and (end + 1 - start) * len(rows[end].ids) <= most_positions:
            end += 1
        yield rows[start:end]
        start = end
