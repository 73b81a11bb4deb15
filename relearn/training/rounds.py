"""A LoRA round (Hu et al. 2021): a new adapter over the frozen base, or the last one continued in a new folder."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relearn import models
from relearn.errors import InputError
from relearn.files import write_json
from relearn.params.compute import Compute
from relearn.params.finetune import ALL_LINEAR, Finetune, Lora
from relearn.training.trainer import Schedule

BASE_PATH = "models/base"  # what adapters name as their base, whatever folder the checkout is in


def make_schedule(
    finetune: Finetune, compute: Compute, lr: float, epochs: float, seed: int, processes: int = 1, shard: bool = False
) -> Schedule:
    """The round's schedule from the parameters."""
    return Schedule(
        epochs=epochs,
        lr=lr,
        batch_size=finetune.batch_size,
        accumulation=finetune.accumulation,
        shape={"constant": "constant_with_warmup"}.get(finetune.schedule, finetune.schedule),
        warmup_steps=finetune.warmup_steps,
        weight_decay=finetune.weight_decay,
        max_grad_norm=finetune.max_grad_norm,
        optimizer=finetune.optimizer,
        seed=seed,
        device=compute.device,
        # On a CPU the frozen weights are in bf16 and the rest is fp32: no autocast is needed, which would cast at each use.
        bf16=compute.precision == "bf16" and compute.device == "cuda",
        gradient_checkpointing=finetune.gradient_checkpointing,
        eval_every=finetune.eval_every,
        checkpoint_every=finetune.checkpoint_every,
        processes=processes,
        shard=shard,
    )


def new_adapter(model: Any, lora: Lora) -> Any:
    """The model with a fresh trainable adapter; the global seed decides its A matrices, B starts at zero.

    Raises InputError for a target that names no module of the model, or that PEFT cannot adapt.
    """
    from peft import LoraConfig, get_peft_model

    targets = _choose_targets(model, lora)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        # GPT-2 keeps its linear weights the other way round.
        fan_in_fan_out=all(_kind(model, target) == "Conv1D" for target in targets),
        task_type="CAUSAL_LM",
        bias="none",
    )
    try:
        return _check_trainable(get_peft_model(model, config))
    except ValueError as error:
        raise InputError(f"finetune.lora.targets: {' '.join(str(error).split())[:200]}; name linear modules") from error


def _choose_targets(model: Any, lora: Lora) -> list[str]:
    """The names to adapt, sorted; of `all-linear` the last parts of the names of all linear modules but the head."""
    linear = {name for name, module in model.named_modules() if type(module).__name__ in _LINEAR}
    head = model.get_output_embeddings()
    last = sorted({name.rpartition(".")[2] for name in linear if model.get_submodule(name) is not head})
    if lora.targets == [ALL_LINEAR]:
        return last
    for target in lora.targets:
        if _kind(model, target) is None:
            raise InputError(
                f"finetune.lora.targets: no module of the base is named {target}; its linear ones are {', '.join(last)}, "
                f"and {ALL_LINEAR} names them all"
            )
    return sorted(lora.targets)


def _kind(model: Any, target: str) -> str | None:
    """The class of the first module that PEFT would find by this name."""
    modules = model.named_modules()
    return next((type(one).__name__ for name, one in modules if f".{name}".endswith(f".{target}")), None)


# Linear4bit: of bitsandbytes
_LINEAR = ("Linear", "Conv1D", "Linear4bit", "Linear8bitLt")


def continue_adapter(model: Any, folder: Path) -> Any:
    """The model with a saved adapter, trainable: without `is_trainable` PEFT loads it frozen and nothing is learned."""
    tuned = models.attach(model, folder, str(folder), str(model.name_or_path), trainable=True)
    # The folder names the base as the repository does; from elsewhere PEFT would ask the hub for it at each save.
    for config in tuned.peft_config.values():
        config.base_model_name_or_path = model.name_or_path
    return _check_trainable(tuned)


def _check_trainable(model: Any) -> Any:
    count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    if count == 0:
        raise RuntimeError("the adapter has no trainable parameter")
    return model


def save_adapter(
    model: Any, folder: Path, provenance: dict[str, Any], card: str, gathered: dict[str, Any] | None = None
) -> None:
    """Writes a PEFT adapter whose bytes depend on the training alone, whole or not at all.

    `gathered` are the model's weights, where training left each process a part of them.

    PEFT lists target modules in hash order, records the base as it was passed and writes a README with it; here
    the list is sorted, the base's path is relative to the repository, and the card is ours.
    """
    with replace_folder(folder) as temporary:
        more = {} if gathered is None else {"state_dict": gathered}
        model.save_pretrained(str(temporary), save_embedding_layers=False, **more)
        file = temporary / "adapter_config.json"
        config = json.loads(file.read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = BASE_PATH
        config["target_modules"] = sorted(config["target_modules"])
        config["inference_mode"] = True
        write_json(file, dict(sorted(config.items())))
        write_json(temporary / "provenance.json", provenance)
        (temporary / "README.md").write_text(card, encoding="utf-8")


def merge_adapter(base: Path, adapter: Path, target: Path) -> None:
    """Writes the model in `base` with the adapter added to its weights (fp32), and the other files beside it.

    The adapter's `provenance.json` comes along, the adapter does not.
    """
    from transformers import AutoModelForCausalLM

    for file in base.iterdir():
        if file.is_file() and file.suffix != ".safetensors":
            shutil.copy(file, target)
    shutil.copy(adapter / "provenance.json", target)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype="float32", local_files_only=True, use_safetensors=True)
    merged: Any = models.attach(plain, adapter, str(adapter), str(base)).merge_and_unload()
    merged.save_pretrained(target)


@contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder that becomes `folder` when all went well; leftovers of a killed run are removed.

    A disk that fills up while weights are written is an OSError, as it is with other files.
    """
    from safetensors import SafetensorError

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for stale in folder.parent.glob(f".{folder.name}.*.tmp"):
            shutil.rmtree(stale)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp"))
    except OSError as error:  # named after the folder that is wanted
        raise OSError(error.errno, error.strerror, str(folder)) from error
    try:
        yield temporary
        temporary.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, SafetensorError) and f"os error {errno.ENOSPC}" in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from None
        raise
