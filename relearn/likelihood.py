"""The cross entropy of single positions by a vocabulary's frozen weights, with few logits in memory at a time."""

from __future__ import annotations

import torch
from torch import Tensor

POSITIONS = 256  # whose logits are computed in one product: 256 of 49,152 tokens are 25 MB in bf16
SLICE = 8  # positions whose probabilities are computed together, in fp32: they stay in the caches


def score_positions(hidden: Tensor, weight: Tensor, targets: Tensor, gradient: Tensor | None = None) -> Tensor:
    """The negative log-likelihood in nats, in fp32, of each of `targets` (n) after hidden states (n, width).

    `weight` is (vocabulary, width). `gradient`, where it is given, (n, width) in the precision of `hidden`, takes the
    gradient of their sum.
    """
    costs = torch.empty(len(targets), dtype=torch.float32)
    buffer = torch.empty(min(POSITIONS, len(targets)), len(weight), dtype=weight.dtype)
    for start in range(0, len(targets), POSITIONS):
        part = slice(start, start + POSITIONS)
        logits = torch.mm(hidden[part], weight.t(), out=buffer[: len(targets[part])])
        for few, wanted, cost in zip(
            logits.split(SLICE), targets[part][:, None].split(SLICE), costs[part].split(SLICE), strict=True
        ):
            likely = few.float().log_softmax(-1)  # logsumexp takes ten times as long
            torch.neg(likely.gather(1, wanted)[:, 0], out=cost)
            if gradient is not None:
                likely.exp_().scatter_add_(1, wanted, likely.new_full((1, 1), -1.0).expand(len(wanted), 1))
                few.copy_(likely)
        if gradient is not None:
            torch.mm(logits, weight, out=gradient[part])
    return costs
