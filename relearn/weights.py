"""Whether a model's weights are those of its files: none missing, none left over, all numbers, none changed since.

transformers and PEFT fill what is missing with random numbers and say so in a warning; here it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from relearn.errors import InputError

# What a trainer puts before a weight's name and forgets to remove, and what to do about it.
PREFIXES = {
    "_orig_mod.": "a prefix of torch.compile; save the model that it wraps",
    "_fsdp_wrapped_module.": "a prefix of FSDP; save the full state without it",
    "_checkpoint_wrapped_module.": "a prefix of activation checkpointing; save the weights without it",
    "_forward_module.": "a prefix of DeepSpeed; save the model that it wraps",
    "module.": "a prefix of DataParallel; save the model that it wraps",
    ".base_layer.": "a name of PEFT's, from a model that still has an adapter; save merge_and_unload() of it",
    "lora_": "a weight of an adapter; merge it, or save it as an adapter",
    "base_model.model.": "a prefix of PEFT; save merge_and_unload() of the model",
}
# Initialisations of LoRA that rewrite the base from data that the adapter does not hold.
_NOT_REPEATED = ("corda", "lora_ga")
_OF_PEFT = ("lora_", "base_model.model.", ".base_layer.")
_PROBE = 16  # tokens of the text whose logits tell one set of weights from another

Fingerprint = tuple[dict[str, int], bytes]


def check_model(folder: Path, model: Any, found: Mapping[str, Any]) -> None:
    """Raises InputError where transformers reports weights missing, unexpected or of another shape, or one is not a
    number.
    """
    missing, unexpected = sorted(found["missing_keys"]), sorted(found["unexpected_keys"])
    if found["mismatched_keys"]:
        key, there, wanted = min(found["mismatched_keys"])
        raise InputError(
            f"{folder}: {key} has the shape {_shape(there)}, but config.json asks for {_shape(wanted)}; "
            "get config and weights of the same model"
        )
    if missing or unexpected:
        key, what = (missing[0], "missing") if missing else (unexpected[0], "not used")
        count = len(missing or unexpected)
        more = f" (and {count - 1} more)" if count > 1 else ""
        raise InputError(
            f"{folder}: the weight {key}{more} is {what}; {_explain(key, unexpected, 'another architecture')}"
        )
    errors = [" ".join(str(message).split()) for message in found.get("error_msgs") or ()]
    if errors:
        raise InputError(f"{folder}: weights were not loaded ({errors[0][:200]}); get the model's files again")
    for name, weights in model.named_parameters():
        if not _all_numbers(weights):
            raise InputError(f"{folder}: the weight {name} holds NaN or infinity; the training that made it diverged")


def check_adapter_file(folder: Path, config: Mapping[str, Any], label: str, base: str) -> list[str]:
    """The names of an adapter's weights. Raises InputError for weights that are not numbers, and for parts that the
    configuration names without weights."""
    from safetensors import safe_open

    start = str(config.get("init_lora_weights"))
    if start in _NOT_REPEATED or start.startswith("pissa_niter"):
        raise InputError(
            f"{label}: was trained on a base that its initialisation ({start}) had rewritten, which cannot be repeated; save "
            "it with path_initial_model_for_weight_conversion, or give the merged model"
        )
    with safe_open(folder / "adapter_model.safetensors", framework="pt") as file:
        keys = list(file.keys())
        for key in keys:
            if not _all_numbers(file.get_tensor(key)):
                raise InputError(f"{label}: the weight {key} holds NaN or infinity; the training that made it diverged")
    if not keys:
        raise InputError(f"{label}: adapter_model.safetensors holds no weights; save the adapter again")
    for part in ("target_modules", "modules_to_save"):
        names = config.get(part)
        for name in sorted(map(str, names)) if isinstance(names, list) else ():
            if not any(f".{name}." in f".{key}" for key in keys):
                raise InputError(
                    f"{label}: {part} of adapter_config.json names {name}, but adapter_model.safetensors has no weights for "
                    f"it; {_explain(name, (), f'an adapter of another base than {base}')}"
                )
    return keys


def check_adapter_keys(tuned: Any, loaded: Any, keys: Collection[str], label: str, base: str) -> None:
    """Raises InputError where PEFT reports weights missing or not used."""
    shared = ("vblora_vector_bank", "prompt_encoder", ".tinylora_v.")  # PEFT makes these from others
    missing = sorted(key for key in loaded.missing_keys if not any(part in key for part in shared))
    # what prompt learning has is loaded by hand, so that it seems unused
    unused = [] if tuned.active_peft_config.is_prompt_learning else sorted(loaded.unexpected_keys)
    if missing or unused:
        key, what = (unused[0], "not used") if unused else (missing[0], "missing")
        count = len(unused or missing)
        more = f" (and {count - 1} more)" if count > 1 else ""
        key = key.replace(".default.", ".")
        raise InputError(
            f"{label}: the weight {key}{more} is {what}; {_explain(key, unused, f'another base than {base}', adapter=True)}"
        )
    bias = getattr(tuned.active_peft_config, "bias", "none")
    ending = ".base_layer.bias" if bias == "lora_only" else ".bias"
    names = (name for name, _ in tuned.named_parameters() if "lora_" not in name)
    if (
        bias != "none"
        and any(name.endswith(ending) for name in names)
        and not any(key.endswith(".bias") for key in keys)
    ):
        raise InputError(f"{label}: was trained with bias: {bias}, but the file has no biases; save it again")


def check_forward(model: Any, label: str) -> Any:
    """The logits (1, tokens, vocabulary) of a short text. Raises InputError where the model cannot run, or gives NaN."""
    import torch

    rows = model.get_input_embeddings().weight.shape[0]
    length = min(_PROBE, count_positions(model) or _PROBE)
    ids = torch.tensor([[(7 * at + 1) % rows for at in range(length)]], device=model.device)
    try:
        with torch.inference_mode():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # of a library, running what anyone may have saved
        text = " ".join(str(error).split())[:200]
        raise InputError(f"{label} cannot run ({type(error).__name__}: {text}); use another kind") from error
    if bool(torch.isnan(logits).any()):
        raise InputError(f"{label} gives NaN; the training that made it diverged")
    return logits


def fingerprint(model: Any, label: str) -> Fingerprint:
    """What tells whether weights are still the same: a sum of the bits of each, and the logits of a short text."""
    import torch

    kinds = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    sums = {}
    for name, weights in model.named_parameters():
        bits = weights.detach().contiguous().flatten().view(kinds[weights.element_size()])
        sums[name] = sum(int(part.sum(dtype=torch.int64)) for part in bits.split(1 << 24))
    return sums, check_forward(model, label).float().cpu().numpy().tobytes()


def count_positions(model: Any) -> int | None:
    """How many tokens the model can read at all, where it has learned a vector for each place (GPT-2, OPT); else None."""
    import torch

    most = getattr(model.config, "max_position_embeddings", None)
    words = model.get_input_embeddings()
    tables = (one for one in model.modules() if isinstance(one, torch.nn.Embedding) and one is not words)
    return most if most and any(table.num_embeddings - most in (0, 2) for table in tables) else None


def take_off(adapted: Any) -> Any | None:
    """The model under an adapter, without it; None where PEFT cannot take it off."""
    try:
        if adapted.active_peft_config.is_prompt_learning:
            return adapted.get_base_model()
        return adapted.base_model.unload()
    except (AttributeError, NotImplementedError, RuntimeError, ValueError, KeyError, TypeError):  # loaded again then
        return None


def advise(error: Exception) -> str:
    """What to do about an adapter that did not fit."""
    text = str(error)
    if "size mismatch" in text and re.search(r"embed|lm_head|wte|token", text):
        return "it was trained with added tokens; give the base with its vocabulary enlarged in the same way, or the merged model"
    return "give the base that it was trained on"


def _explain(key: str, unused: Collection[str], otherwise: str, adapter: bool = False) -> str:
    """The likely cause of a weight that is missing or not used, by those that nothing takes.

    In an adapter its own names are not the cause.
    """
    for prefix, cause in PREFIXES.items():
        found = next((name for name in unused if prefix in name), None)
        if found is not None and not (adapter and prefix in _OF_PEFT):
            there = "" if found == key else f"the file has {found}, and "
            return f"{there}{prefix} is {cause}"
    if unused and min(unused) != key:
        return f"the file has {min(unused)}; it is of {otherwise}, or was saved under other names"
    return (
        f"the file is of {otherwise}, or was saved under other names"
        if unused
        else f"the file is incomplete, or of {otherwise}"
    )


def _shape(shape: Collection[int]) -> str:
    return " × ".join(map(str, shape))


def _all_numbers(weights: Any) -> bool:
    import torch

    return not weights.is_floating_point() or bool(torch.isfinite(weights.detach()).all())
