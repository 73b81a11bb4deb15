"""DFT, dynamic fine-tuning (Wu et al. 2025, arXiv 2508.05629): each token's loss times its own probability.

    loss = mean over the labelled tokens of [ −sg(π(y)) · log π(y) ]        sg: no gradient goes through it

The gradient of cross entropy grows as 1 / π(y) where the model finds a token unlikely; the factor takes that away, so that
little is learned from what contradicts the model. The authors' code does the same (github.com/yongliang-wu/DFT,
verl/verl/trainer/fsdp_dft_trainer.py: `loss * prob_coefficients.detach()`, then the mean over the loss mask).

Parameters: none. Cost: none to speak of; no pass more.
"""

from __future__ import annotations

from torch import Tensor

from relearn.training.method import Method
from relearn.training.passes import cross_entropy


class Dft(Method):
    """Tokens weighted by their probability."""

    has_token_loss = True

    def token_loss(self, logits: Tensor, targets: Tensor, base: Tensor | None) -> Tensor:
        loss = cross_entropy(logits, targets)
        return (-loss.detach()).exp() * loss
