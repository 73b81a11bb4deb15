"""EAFT, entropy-adaptive fine-tuning (Diao et al. 2026, arXiv 2601.02151): tokens weighted by the model's uncertainty.

    loss = mean over the labelled tokens of [ −sg(H / ln top)^alpha · log π(y) ]     sg: no gradient goes through it
    H: the entropy of π's `top` likeliest tokens, their probabilities scaled to sum to 1

Where the model is sure of something else (a "confident conflict"), H and the weight are near 0, and little is learned.
The paper writes the entropy as normalised, with 20 tokens; the code that its README (github.com/PRIS-CV/EAFT) points to,
LLaMA-Factory's `_eaft_cross_entropy` (read in copies of it), divides by 3.0, which is ln 20 = 2.996 rounded. Here it is
ln top: weights are 0.1% greater than there, never above 1, and right for another `top`.

Parameters: `top`, 20 in the paper; `alpha`, the exponent, 1 in the paper. A smaller vocabulary than `top` is taken whole.
Cost: the search for the likeliest tokens; no pass more.
"""

from __future__ import annotations

import math

from torch import Tensor

from relearn.training.method import Method
from relearn.training.passes import cross_entropy


class Eaft(Method):
    """Tokens weighted by the model's entropy."""

    has_token_loss = True

    def token_loss(self, logits: Tensor, targets: Tensor, base: Tensor | None) -> Tensor:
        likeliest = logits.detach().topk(min(self.options.top, logits.shape[-1]), -1).values.log_softmax(-1)
        entropy = -(likeliest.exp() * likeliest).sum(-1) / math.log(likeliest.shape[-1])
        weighted: Tensor = entropy**self.options.alpha * cross_entropy(logits, targets)
        return weighted
