"""Whole models between a base and its fine-tune, tensor by tensor: θ₀ + λ(θ₁ − θ₀)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from relearn import models, weights
from relearn.errors import InputError


class Interpolation:
    """A fine-tune in memory that becomes any model between it and its base, or beyond.

    Both are loaded once. Three copies of the weights are held: two of them in the CPU's memory.
    """

    def __init__(
        self,
        base: Path,
        tuned: Path,
        device: Literal["cpu", "cuda"],
        precision: Literal["fp32", "bf16"] = "fp32",
        label: str | None = None,
    ) -> None:
        """Raises InputError, besides what loading raises, where the two are not of one shape."""
        self.label = label or str(tuned)
        start: Any = models.load_base(base, "cpu", precision)
        self._model: Any = models.load_base(tuned, device, precision)
        before, after = dict(start.named_parameters()), dict(self._model.named_parameters())
        odd = next((name for name in [*before, *after] if _shape(before, name) != _shape(after, name)), None)
        if odd is not None:
            raise InputError(f"{self.label}: the weight {odd} is not in both models, or of another shape; {_SAME}")
        self._ends = {name: (before[name].detach(), after[name].detach().cpu().clone()) for name in before}
        expected = weights.check_forward(start, str(base)).float().cpu()
        found = weights.check_forward(self.put(0.0), self.label).float().cpu()
        if not expected.allclose(found, rtol=1e-3, atol=1e-3 * float(expected.abs().max())):
            raise InputError(f"{self.label}: with the base's weights it does not behave like the base; {_SAME}")

    def put(self, factor: float) -> Any:
        """The model with so much of the change, which was given out before: exactly the base at 0, the fine-tune at 1."""
        import torch

        with torch.no_grad():
            for name, weight in self._model.named_parameters():
                before, after = self._ends[name]
                weight.copy_(torch.lerp(before.float(), after.float(), factor))
        return self._model


_SAME = "give a fine-tune of this base, with its config.json and vocabulary"


def _shape(tensors: dict[str, Any], name: str) -> Any:
    return tensors[name].shape if name in tensors else None
