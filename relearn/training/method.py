"""A remedy for forgetting, as a round sees it: which rows it adds, and what it does to the loss.

Each is one file of `relearn/training/methods/`, named as `method` in params.yaml names it; its parameters are under
`finetune_2b.methods`. The class in it has that name too: `self_replay` is SelfReplay.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, TypeVar

from relearn.chat import Chat

T = TypeVar("T")


class Method:
    """Plain fine-tuning; a remedy overrides what it does otherwise. `options` are its parameters."""

    reads_logits = False  # whether `change_loss` does; they take memory and time

    def __init__(self, options: Any, seed: int) -> None:
        self.options, self.seed = options, seed

    def choose_rows(self, new: Sequence[T], old: Sequence[T]) -> list[T]:
        """The rows to train on: `new` of the new tasks, and what is added; `old` are those of replayed tasks.

        Raises InputError where it needs rows that there are none of.
        """
        return list(new)

    def begin(self, model: Any, chat: Chat) -> None:
        """Called once before the first update, with the model as it starts; the base is it without its adapter.

        What is drawn here must not depend on the global generators, nor change them: a resumed run comes here again.
        """

    def change_loss(self, model: Any, batch: dict[str, Any], outputs: Any, loss: Any, share: Any) -> Any:
        """The loss of one forward pass, called in each.

        `batch` is that of `rows.collate`; `outputs.logits` are those of its `logits_to_keep`, or, where `quick`
        computes, of the labelled positions alone, and None there unless `reads_logits`; `loss` is the summed cross entropy of the pass over the labelled
        tokens of the whole update, and `share` this pass's part of those tokens: a mean is added as share times it.
        """
        return loss


def load_method(name: str, options: Any, seed: int) -> Method:
    """The method of that name."""
    module = importlib.import_module(f"relearn.training.methods.{name}")
    found: type[Method] = getattr(module, name.title().replace("_", ""))
    return found(options, seed)
