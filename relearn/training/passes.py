"""Losses by the token, of a model in training and of what it started as, a few positions' logits at a time.

A method writes its loss of a token in a few lines over logits; here those are made of `POSITIONS` positions, turned into
losses and their gradient, and forgotten. With a vocabulary of 49,152 the logits of 1,600 labelled tokens would take 315 MB
in fp32, those of the base as much again, and their gradients too. Where the libraries compute (see `quick`), they hand over
all labelled positions' logits in any case; no more copies of them are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from relearn.likelihood import POSITIONS, SLICE
from relearn.training.rows import IGNORED

# (logits (n, vocabulary), the tokens that follow (n,), the base's logits (n, vocabulary) or None) -> losses (n,), in nats
TokenLoss = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """The negative log-likelihood of each token, (n,)."""
    return functional.cross_entropy(logits, targets, reduction="none")


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """KL(p‖q) of two rows of logits (n, vocabulary), exact over the vocabulary: (n,), in nats."""
    return functional.kl_div(q.log_softmax(-1), p.log_softmax(-1), reduction="none", log_target=True).sum(-1)


class Passes:
    """Forward passes of `model` and of the base, which is the model as it is when this object is made.

    A new LoRA adapter starts with B at zero, so that the base is then the model without it; an adapter that is
    continued is part of the base as it was. Its trainable weights are copied, the others shared. `head` is what
    `quick.speed_up` yields. `together`: all processes must make the same number of passes, since each holds a part of the
    weights only.
    """

    def __init__(self, model: Any, head: Any | None, together: bool = False) -> None:
        self.model, self.head, self.together = model, head, together
        self.start = {
            name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad
        }

    def losses(
        self, batch: Mapping[str, Tensor], token_loss: TokenLoss, with_base: bool = False, through: Any | None = None
    ) -> Tensor:
        """The loss of each labelled token of a batch (`rows.collate`), in order: (labelled,), fp32.

        `through` is the model in the wrapper that shares gradients among processes: once an update's pass, which all of
        them make together. Further passes of one process go to the model itself, and their gradients are shared too.
        """
        base = None
        if with_base:
            with self._as_base():
                base = self._speak(self.model, batch)
        return self._lose(self._speak(through or self.model, batch), base, batch, token_loss)

    def base_losses(self, batch: Mapping[str, Tensor], token_loss: TokenLoss) -> Tensor:
        """The same under the base alone, without gradients."""
        with self._as_base():
            return self._lose(self._speak(self.model, batch), None, batch, token_loss)

    def _lose(self, said: Tensor, base: Tensor | None, batch: Mapping[str, Tensor], token_loss: TokenLoss) -> Tensor:
        targets = batch["shift_labels"]
        head = self.head if self._in_states() else None
        return _in_pieces(said, base, targets[targets.ne(IGNORED)], head, token_loss)

    def _in_states(self) -> bool:
        """Whether positions are kept as hidden states: their logits can be made, and forgotten, at any time."""
        return type(self.head) is torch.nn.Linear and not self.head.weight.requires_grad

    def _speak(self, model: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The labelled positions' hidden states or logits."""
        inputs = {name: batch[name] for name in ("input_ids", "logits_to_keep")}
        if self.head is None:
            return cast(Tensor, model(**inputs).logits[batch["shift_labels"].ne(IGNORED)])
        states = model(**inputs, shift_labels=batch["shift_labels"], output_hidden_states=True).hidden_states[0]
        return cast(Tensor, states if self._in_states() else self.head(states))

    @contextmanager
    def _as_base(self) -> Iterator[None]:
        """Inside, the model is the base, without dropout and gradients."""
        changed = {name: weight for name, weight in self.model.named_parameters() if name in self.start}
        trained = {name: weight.data for name, weight in changed.items()}
        training = self.model.training
        self.model.eval()
        try:
            for name, weight in changed.items():
                weight.data = self.start[name]
            with torch.no_grad():
                yield
        finally:
            for name, weight in changed.items():
                weight.data = trained[name]
            self.model.train(training)


class _Pieces(torch.autograd.Function):
    """Losses (n,) of positions (n, width); the gradient is made along with them, so that no logits are kept.

    `head` makes logits of positions, and is frozen; without it they are logits. Products are made of `POSITIONS`
    positions, and losses of `SLICE`, whose logits stay in the caches.
    """

    @staticmethod
    def forward(
        ctx: Any, said: Tensor, base: Tensor | None, targets: Tensor, head: Any | None, token_loss: TokenLoss
    ) -> Tensor:
        gradient = torch.empty_like(said) if ctx.needs_input_grad[0] else None
        losses = torch.empty(len(said), dtype=torch.float32, device=said.device)
        for start in range(0, len(said), POSITIONS):
            part = slice(start, start + POSITIONS)
            logits = said[part] if head is None else head(said[part])
            of_base = None if base is None else base[part] if head is None else head(base[part])
            back = None if gradient is None else gradient[part] if head is None else torch.empty_like(logits)
            for first in range(0, len(logits), SLICE):
                few = slice(first, first + SLICE)
                with torch.set_grad_enabled(back is not None):
                    own = logits[few].float().detach().requires_grad_(back is not None)
                    found = token_loss(own, targets[part][few], None if of_base is None else of_base[few].float())
                    if back is not None:
                        back[few] = torch.autograd.grad(found.sum(), own)[0]
                losses[part][few] = found.detach()
            if gradient is not None and back is not None and head is not None:
                gradient[part] = back @ head.weight
        ctx.save_for_backward(gradient)
        return losses

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return (gradient * gradients[0][:, None]).to(gradient.dtype), None, None, None, None


# `apply` has no types of its own.
_in_pieces: Callable[..., Tensor] = _Pieces.apply
