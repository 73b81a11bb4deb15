"""KL: cross entropy, and a penalty for moving away from the base on the same tokens.

    loss = mean over the labelled tokens of [ −log π(y) + beta · KL(π₀‖π) ]

π₀ is the base, the same weights with the adapter as it starts; the divergence is exact, over the whole vocabulary.
Distilling a model's own earlier outputs into it on the new task's inputs is Learning without Forgetting (Li & Hoiem
2016, arXiv 1606.09282); it is `kl_dwn` in the code of Marek et al. (2026, arXiv 2605.26097, github.com/martin-marek/
forgetting, loss.py), and `sft+kl` in that of ASFT (arXiv 2509.23753): the same formula in both. No old data is used.

Parameters: `beta`. Marek et al. try 1, 3 and 10 on rows that the model wrote, ASFT's README has 0.05 on the new task's.
Cost: one more forward pass an update, without gradients: about a third more time.
"""

from __future__ import annotations

from torch import Tensor

from relearn.training.method import Method
from relearn.training.passes import cross_entropy, divergence


class Kl(Method):
    """Kept close to the base on the new task's tokens."""

    has_token_loss = reads_base = compares = True

    def token_loss(self, logits: Tensor, targets: Tensor, base: Tensor | None) -> Tensor:
        assert base is not None
        loss: Tensor = cross_entropy(logits, targets) + self.options.beta * divergence(base, logits)
        return loss
