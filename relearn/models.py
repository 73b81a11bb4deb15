"""One frozen model, several adapters. Only safetensors are read, and code that comes with a repository is never run."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from relearn import weights
from relearn.chat import DATE, Chat, choose_template
from relearn.errors import InputError
from relearn.model_files import check_adapter, check_model_folder, read_json, read_stops

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def set_seed_and_threads(threads: int, seed: int) -> None:
    """Fixes what a result must not depend on: the seeds, the thread count, and non-deterministic kernels."""
    import torch
    from transformers import set_seed
    from transformers.utils import logging

    # cuBLAS is deterministic only with workspaces of its own, asked for before it is first used.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # It would also fill all memory that is asked for, against code that reads what nobody wrote, a pass over memory each.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    set_seed(seed)
    logging.set_verbosity_error()
    # peft 0.21 asks each model about a property that transformers 5.23 has renamed.
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
    # peft says so at each prompt where an adapter puts tokens of its own before it; positions are right without.
    warnings.filterwarnings("ignore", message="Position ids are not supported.*")
    logging.disable_progress_bar()


def check_device(device: Literal["cpu", "cuda"]) -> None:
    """Raises InputError for a device that is not there."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("compute.device: no CUDA device on this machine; use cpu, or run where there is one")
    own = int(os.environ.get("LOCAL_RANK", "0"))
    if device == "cuda" and own and own >= torch.cuda.device_count():
        raise InputError(
            f"compute.device: {torch.cuda.device_count()} CUDA devices on this machine, so process {own + 1} has none; start "
            "one process a device"
        )


def name_device(device: Literal["cpu", "cuda"]) -> str:
    """The device of this process: one each, where several train."""
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if device == "cuda" else device


def load_chat(
    folder: Path, template: str, arguments: Mapping[str, Any] | None = None, date: str = DATE, instead: bool = False
) -> Chat:
    """The chat of a model folder, and every token that ends its answers, those of its generation config included.

    `template` is used where the tokenizer has none, or `instead` of its own. Raises InputError as `load_tokenizer` and
    `Chat`.
    """
    tokenizer = load_tokenizer(folder)
    if instead:
        tokenizer.chat_template = template
    return Chat(tokenizer, template, arguments, date, read_stops(folder))


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder, with a pad token. Raises InputError when it has no end token."""
    from transformers import AutoConfig, AutoTokenizer

    check_model_folder(folder)
    config = folder / "tokenizer_config.json"
    if config.is_file():
        choose_template(read_json(config).get("chat_template"), str(config))
    what = "config.json cannot be read"
    try:
        if not _needs_code(folder):
            AutoConfig.from_pretrained(folder, local_files_only=True)  # the tokenizer's class is chosen by it
        what = "the tokenizer cannot be loaded"
        loaded = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # of a library, about files that anyone may have written
        raise InputError(f"{folder}: {what} ({_one_line(error)}); get its files again") from error
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
    to_shard: bool = False,
) -> PreTrainedModel:
    """The frozen weights, on the device, in evaluation mode.

    `to_shard` leaves them in the file's mapping, which all processes of a machine have in common, until each takes its
    part of them (`relearn.training.shard`).

    Raises InputError for a device that is not there or has no bf16 when asked for it, pickled weights, a model with
    code of its own or whose library is not installed, and weights that are missing, left over, of another shape or not
    numbers.
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
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            ignore_mismatched_sizes=True,  # so that they are reported
            output_loading_info=True,
            device_map=None if to_shard and quantize == "none" else name_device(device),
            **extra,
        )
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # of a library, about files that anyone may have written
        raise InputError(f"{folder}: {_explain_loading(folder, error)}") from error
    model, found = loaded
    weights.check_model(folder, model, found)
    if device == "cpu" and not to_shard:
        for weight in model.parameters():
            weight.data = weight.data.clone()  # out of the file's mapping, whose pages slow products down
    model.eval()
    # A saved sampling setting (Llama-2 ships one) would warn at every greedy call; decoding states its own.
    model.generation_config.temperature = model.generation_config.top_p = None
    return cast("PreTrainedModel", model)


def _needs_code(folder: Path) -> bool:
    return "auto_map" in read_json(folder / "config.json")


def _explain_loading(folder: Path, error: Exception) -> str:
    """What transformers could not do, and what to do about it."""
    config = read_json(folder / "config.json")
    text = _one_line(error)
    quantized = config.get("quantization_config")
    if isinstance(quantized, dict):
        method = str(quantized.get("quant_method", "an unknown method"))
        return f"is quantised ({method}), which cannot be loaded here ({text}); install what that needs, or give the unquantised model, in 16 or 32 bits"
    if "trust_remote_code" in text or "does not recognize this architecture" in text or _needs_code(folder):
        return "needs code of its own, which relearn does not run; use a model whose architecture transformers has"
    if "Unrecognized configuration class" in text:
        return f"a {config.get('model_type')} does not write text from left to right; give a causal language model"
    return f"transformers cannot load it ({type(error).__name__}: {text}); get its files again, or use another model"


def _one_line(error: Exception, most: int = 200) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else text[: most - 1] + "…"


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


class FrozenBase:
    """A base's weights, loaded once, and one adapter at a time on them.

    An adapter is put only on weights that are proven to be the base's, bit by bit and by their logits, so that each
    model answers as it does alone. Where the last one has changed them (PiSSA and OLoRA rewrite the base, others train its
    biases or embeddings), they are loaded again.
    """

    def __init__(
        self,
        folder: Path,
        device: Literal["cpu", "cuda"],
        precision: Literal["fp32", "bf16"] = "fp32",
        quantize: Literal["none", "4bit"] = "none",
        label: str | None = None,
    ) -> None:
        self._load = partial(load_base, folder, device, precision, quantize)
        self.label = label or str(folder)
        self._model: Any = self._load()
        self._proof = weights.fingerprint(self._model, self.label)
        self._adapted: PeftModel | None = None
        self.loads = 1

    def put(self, adapter: Path | None, label: str | None = None) -> Any:
        """The model with this adapter and no other, not trainable; the base itself for None.

        The model that was given out before is not to be used any more. Raises InputError as `attach`.
        """
        self._take_off()
        if adapter is None:
            return self._model
        self._adapted = attach(self._model, adapter, label or str(adapter), self.label)
        return self._adapted

    def _take_off(self) -> None:
        if self._adapted is None:
            return
        adapted, self._adapted = self._adapted, None
        self._model = weights.take_off(adapted)
        if self._model is not None and weights.fingerprint(self._model, self.label) == self._proof:
            return
        self._model = adapted = None  # type: ignore[assignment]
        free_memory()
        self._model = self._load()
        self.loads += 1


def attach(model: Any, folder: Path, label: str, base: str, trainable: bool = False) -> PeftModel:
    """A model with an adapter on it, as PEFT alone has it. `label` and `base` name the two in messages.

    Raises InputError where it does not fit, where weights are missing, not used or not numbers, or where it cannot run.
    """
    import torch
    from peft import PeftModel

    check_adapter(folder)
    keys = weights.check_adapter_file(folder, read_json(folder / "adapter_config.json"), label, base)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they say of missing keys is asked for below
            tuned = PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
            loaded = tuned.load_adapter(str(folder), "default", is_trainable=trainable)  # says what was missing
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # of a library, about files that anyone may have written
        raise InputError(
            f"{label}: the adapter does not fit {base} ({_one_line(error)}); {weights.advise(error)}"
        ) from error
    weights.check_adapter_keys(tuned, loaded, keys, label, base)
    if not trainable:
        tuned.eval()
        tuned.requires_grad_(False)
        weights.check_forward(tuned, f"{label}: on {base} the adapter")
    return tuned


def free_memory() -> None:
    """Gives back what models that are no longer referred to held, on a GPU too."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
