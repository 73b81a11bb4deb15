"""ASFT, anchored supervised fine-tuning (Zhu et al. 2025, arXiv 2509.23753): DFT, and a penalty for moving away from
the base.

    loss = mean over the labelled tokens of [ −sg(π(y)) · log π(y) + alpha · D ]      sg: no gradient goes through it
    forward: D = KL(π₀‖π)        reverse: D = KL(π‖π₀)

Forward is what the authors' code computes (github.com/zhuchichi56/ASFT, train_v2.py, mode `asft`: `F.kl_div` of log π and
π₀). Readers of the text disagree with it: one implementation (github.com/unslothai/unsloth, unsloth/losses/asft.py) notes
that the paper says reverse where its code is forward; notes on the third version have forward in its equation 6. The
equation itself could not be read here. Hence the option; forward is the default.

Parameters: `alpha`, 0.05 in the authors' README and 0.1 as their script's default; `direction`.
Cost: one more forward pass an update, without gradients: about a third more time.
"""

from __future__ import annotations

from torch import Tensor

from relearn.training.method import Method
from relearn.training.passes import cross_entropy, divergence


class Asft(Method):
    """Tokens weighted by their probability, kept close to the base."""

    has_token_loss = reads_base = compares = True

    def token_loss(self, logits: Tensor, targets: Tensor, base: Tensor | None) -> Tensor:
        assert base is not None
        loss = cross_entropy(logits, targets)
        pair = (base, logits) if self.options.direction == "forward" else (logits, base)
        anchored: Tensor = (-loss.detach()).exp() * loss + self.options.alpha * divergence(*pair)
        return anchored
