"""One frozen model, several adapters. Only safetensors are read, and code that comes with a repository is never run."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from relearn.errors import InputError
from relearn.model_files import check_adapter, check_model_folder

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def set_seed_and_threads(threads: int, seed: int) -> None:
    """Fixes what a result must not depend on: the seeds, the thread count, and non-deterministic kernels."""
    import torch
    from transformers import set_seed
    from transformers.utils import logging

    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    set_seed(seed)
    logging.set_verbosity_error()
    # peft 0.21 asks each model about a property that transformers 5.23 has renamed.
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
    logging.disable_progress_bar()


def check_device(device: Literal["cpu", "cuda"]) -> None:
    """Raises InputError for a device that is not there."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("compute.device: no CUDA device on this machine; use cpu, or run where there is one")


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder, with a pad token. Raises InputError when it has no end token."""
    from transformers import AutoTokenizer

    check_model_folder(folder)
    try:
        loaded = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{folder}: the tokenizer cannot be loaded ({reason}); get its files again") from None
    tokenizer = cast("PreTrainedTokenizerBase", loaded)
    if tokenizer.eos_token_id is None:
        raise InputError(f"{folder}: the tokenizer has no end token; set eos_token in its tokenizer_config.json")
    if tokenizer.pad_token_id is None:
        # Padding is masked everywhere, so any token serves; Llama-2 has none of its own.
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return tokenizer


def load_base(
    folder: Path,
    device: Literal["cpu", "cuda"],
    precision: Literal["fp32", "bf16"] = "fp32",
    quantize: Literal["none", "4bit"] = "none",
) -> PreTrainedModel:
    """The frozen weights, on the device, in evaluation mode.

    Raises InputError for a device that is not there or has no bf16 when asked for it, pickled weights, or a model with
    code of its own.
    """
    import torch
    from transformers import AutoModelForCausalLM

    check_device(device)
    if device == "cuda" and precision == "bf16" and not torch.cuda.is_bf16_supported(False):
        raise InputError(
            "compute.precision: this GPU has no bf16 (Ampere and later have it); use fp32, with quantize none"
        )
    check_model_folder(folder)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    extra: dict[str, Any] = {}
    if quantize == "4bit":
        extra["quantization_config"] = _configure_4bit()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            # one device a process, where several train
            device_map=f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if device == "cuda" else device,
            **extra,
        )
    except ValueError as error:
        if "trust_remote_code" in str(error) or "model type" in str(error):
            raise InputError(
                f"{folder}: needs code of its own, which relearn does not run; use a model whose architecture transformers has"
            ) from None
        raise
    model.eval()
    # A saved sampling setting (Llama-2 ships one) would warn at every greedy call; decoding states its own.
    model.generation_config.temperature = model.generation_config.top_p = None
    return cast("PreTrainedModel", model)


def _configure_4bit() -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    try:
        import bitsandbytes  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
    except ImportError:
        raise InputError("compute.quantize: 4bit needs bitsandbytes; pip install -r requirements-gpu.txt") from None
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def load_adapters(model: PreTrainedModel, folders: dict[str, Path]) -> PeftModel:
    """The frozen model with the named adapters, none trainable; `use_adapter` switches between them."""
    from peft import PeftModel

    wrapped: PeftModel | None = None
    for name, folder in folders.items():
        if wrapped is None:
            check_adapter(folder)
            wrapped = PeftModel.from_pretrained(model, str(folder), adapter_name=name)
            wrapped.eval()
            wrapped.requires_grad_(False)
        else:
            add_adapter(wrapped, name, folder)
    if wrapped is None:
        raise ValueError("no adapter folders")
    return wrapped


def add_adapter(model: PeftModel, name: str, folder: Path) -> None:
    """One more adapter for `use_adapter` to switch to, not trainable. Raises InputError as `check_adapter`."""
    check_adapter(folder)
    model.load_adapter(str(folder), adapter_name=name)
    model.eval()
    model.requires_grad_(False)


def put_adapter(model: Any, name: str, folder: Path) -> PeftModel:
    """The model with this adapter active and no other, not trainable: on a bare model, or in place of those it has."""
    earlier = list(getattr(model, "peft_config", ()))
    if not earlier:
        return load_adapters(model, {name: folder})
    add_adapter(model, name, folder)
    model.set_adapter(name, inference_mode=True)  # first: PEFT warns where the active one is deleted
    for other in earlier:
        model.delete_adapter(other)
    return cast("PeftModel", model)


@contextmanager
def use_adapter(model: PeftModel, name: str) -> Iterator[None]:
    """The model answers as adapter `name`, or as the bare base when it has no adapter of that name."""
    if name not in model.peft_config:
        with model.disable_adapter():
            yield
        return
    model.set_adapter(name, inference_mode=True)
    yield
