"""A LoRA adapter that makes a factor of the change: B times the factor, whatever scales B·A.

The change of a linear layer is s·B·A with s = alpha / rank, or alpha / √rank (rsLoRA), by layer where patterns say so:
it is linear in B. What an adapter holds as whole tensors (saved modules, biases) is interpolated from the base's. Any
server loads the result as it is (Wortsman et al. 2022, WiSE-FT, arXiv 2109.01903).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relearn.errors import InputError
from relearn.files import write_json
from relearn.model_files import check_adapter, read_json
from relearn.models import FrozenBase

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
OF_PEFT = "base_model.model."  # before the base's own names
# Options of LoRA under which the change is not a multiple of B, or not a change of this base.
NOT_LINEAR = {
    "use_dora": "DoRA",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
    "arrow_config": "Arrow",
    "layer_replication": "layer replication",
    "trainable_token_indices": "trainable tokens",
}
PLAIN_STARTS = ("True", "False", "None", "gaussian", "eva", "orthogonal")  # that leave the base's weights alone


def check_scalable(adapter: Path, label: str) -> None:
    """Raises InputError for an adapter of another kind than plain LoRA or rsLoRA, by name."""
    check_adapter(adapter)
    config = read_json(adapter / CONFIG)
    kind, start = str(config.get("peft_type")), str(config.get("init_lora_weights", True))
    named = next((name for key, name in NOT_LINEAR.items() if config.get(key)), None)
    if kind != "LORA":
        why = f"{kind} is not linear in its weights"
    elif named is not None:
        why = f"{named} is not linear in them"
    elif start not in PLAIN_STARTS:
        why = f"its initialisation ({start}) rewrites the base, so its weights are not its change"
    else:
        return
    raise InputError(
        f"{label}: scaling this adapter does not scale what was learned ({why}); scale LoRA or rsLoRA, or merge it and "
        "scale the whole model"
    )


def scale_adapter(adapter: Path, factor: float, target: Path, label: str, base: Any | None = None) -> None:
    """Writes the adapter that makes `factor` of the change into `target`: configuration and weights.

    `base` is the model without adapters; it is read only where the adapter holds whole tensors. Raises InputError where
    there is none then, where a tensor is not of that base, and as `check_scalable`.
    """
    from safetensors.torch import load_file, save_file

    check_scalable(adapter, label)
    tensors = load_file(adapter / WEIGHTS)
    scaled = {name: _scale(name, tensor, factor, base, label) for name, tensor in tensors.items()}
    target.mkdir(parents=True, exist_ok=True)
    save_file(scaled, target / WEIGHTS, metadata={"format": "pt"})
    write_json(target / CONFIG, read_json(adapter / CONFIG))


def _scale(name: str, tensor: Any, factor: float, base: Any | None, label: str) -> Any:
    import torch

    if ".lora_A." in name or name.endswith("lora_embedding_A"):
        return tensor
    if ".lora_B." in name or name.endswith("lora_embedding_B"):
        return (tensor.float() * factor).to(tensor.dtype)
    own = name.removeprefix(OF_PEFT).replace(".base_layer.", ".")
    if base is None:
        raise InputError(f"{label}: holds the whole tensor {own}; scaling its change needs the base (--base MODEL)")
    try:
        start = base.get_parameter(own)
    except AttributeError:
        start = None
    if start is None or start.shape != tensor.shape:
        raise InputError(
            f"{label}: the tensor {own} does not belong to this base; give the base that it was trained on"
        )
    return torch.lerp(start.detach().float().cpu(), tensor.float(), factor).to(tensor.dtype)


@contextmanager
def put_scaled(base: FrozenBase, adapter: Path, factor: float, label: str) -> Iterator[Any]:
    """The model with a factor of an adapter's change: the base itself at 0, the adapter as it is at 1."""
    if factor in (0, 1):
        yield base.put(adapter if factor else None, label)
        return
    with tempfile.TemporaryDirectory(prefix="relearn-") as folder:
        scale_adapter(adapter, factor, Path(folder), label, base.put(None))
        yield base.put(Path(folder), label)


def mark_scaled(facts: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """An adapter's provenance after scaling."""
    return {**facts, "scaled": factor * float(facts.get("scaled", 1.0))}
