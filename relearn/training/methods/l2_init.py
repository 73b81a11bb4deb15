"""L2 to the start: the change of the weights is kept small.

    loss = cross entropy + strength · Σ ‖W − W₀‖²        over all trained matrices, W₀ as they start

The anchor is L2-SP of Li et al. (2018, arXiv 1802.01483), L2 Init of Kumar et al. (2023, arXiv 2308.11958), in the change of
the weights themselves. With LoRA that change is ΔW = s·B·A − s·B₀·A₀ (s = alpha / rank), and its norm is found in the
products of rank by rank matrices, exactly and without making ΔW: ‖B·A‖² = Σ (BᵀB) ∘ (AAᵀ).

Why not ‖A − A₀‖² + ‖B − B₀‖²: the model depends on B·A alone, so that such an anchor asks for more or less by how a change is
shared out between the two, and holds A back even while B is zero and A has no effect. Trainable weights that are not LoRA
matrices (saved modules, biases, other kinds of adapters) are kept close to their start. What the papers say was written
here from memory of them; the formula does not depend on constants of theirs.

Parameters: `strength`. Cost: none to speak of; no pass more. As part of the loss, unlike AdamW's weight decay, it goes
through the optimiser's scaling.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor

from relearn.training.method import Method, Part
from relearn.training.passes import Passes


class L2Init(Method):
    """Kept close to the weights that it started from."""

    compares = True

    def add_loss(self, passes: Passes, part: Part) -> Tensor | None:
        penalty: Tensor = self.options.strength * measure_change(passes) / part.count
        return penalty


def measure_change(passes: Passes) -> Tensor:
    """The summed squared change of all trained weights since the start, with its gradient."""
    left = {name: weight for name, weight in passes.model.named_parameters() if name in passes.start}
    total = torch.zeros((), device=passes.model.device)
    for place, module in passes.model.named_modules():
        for adapter, scale in module.scaling.items() if isinstance(module, LoraLayer) else ():
            pair = [_find(left, place, part, adapter) for part in ("A", "B")]
            if all(pair):
                (a, b) = (left.pop(name) for name in pair)
                a_start, b_start = (passes.start[name] for name in pair)
                # s·(B·A − B₀·A₀) is the product of these
                rows, columns = torch.cat([a, a_start]), torch.cat([b, -b_start], 1)
                total = total + scale**2 * ((columns.t() @ columns) * (rows @ rows.t())).sum()
    for name, weight in left.items():
        total = total + (weight - passes.start[name]).square().sum()
    return total


def _find(names: dict[str, Any], place: str, part: str, adapter: str) -> str:
    """The name of a LoRA layer's matrix among the trained weights, or nothing."""
    wanted = (f"{place}.lora_{part}.{adapter}.weight", f"{place}.lora_embedding_{part}.{adapter}")
    return next((name for name in wanted if name in names), "")
