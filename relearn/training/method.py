"""A remedy for forgetting, as a round sees it: which rows it adds or masks, and what it does to the loss.

Each is one file of `relearn/training/methods/`, named as `method` in params.yaml names it; its parameters are under
`finetune_2b.methods`. The class in it has that name too: `self_replay` is SelfReplay.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

    from relearn.training.passes import Passes
    from relearn.training.rows import EncodedRow, EncodedRows

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """Which forward pass of which update: `index` of `count`, those of all processes together."""

    update: int
    index: int
    count: int


class Method:
    """Plain fine-tuning; a remedy overrides what it does otherwise.

    `options` are its parameters. `samples` are rows that the base itself wrote, set before `begin` where `needs_samples`.
    """

    needs_samples = False
    has_token_loss = False  # whether `token_loss` takes the place of the cross entropy
    reads_base = False  # whether it gets the base's logits: a further forward pass without gradients
    compares = False  # whether it needs the trained weights, whole, as they are and as they started

    def __init__(self, options: Any, seed: int) -> None:
        self.options, self.seed = options, seed
        self.samples: Sequence[EncodedRow] = ()
        self.facts: dict[str, float] = {}  # what is worth knowing about this run, for the adapter's provenance.json

    def choose_rows(self, new: Sequence[T], old: Sequence[T]) -> list[T]:
        """The rows to train on: `new` of the new tasks, and what is added; `old` are those of replayed tasks.

        Raises InputError where it needs rows and there are none.
        """
        return list(new)

    def begin(self, passes: Passes, rows: EncodedRows, pad: int) -> EncodedRows:
        """The encoded rows to train on; called once before the first update, with the model as it starts, the base.

        What is drawn here must not depend on the global generators, nor change them: a resumed run comes here again.
        Raises InputError where it cannot train on them.
        """
        return rows

    def cost(self, rows: int) -> float:
        """About how long an update of `rows` takes, as a multiple of plain's: forward and backward are three passes."""
        return 4 / 3 if self.reads_base else 1.0

    def token_loss(self, logits: Tensor, targets: Tensor, base: Tensor | None) -> Tensor:
        """The losses (n,), in nats, of n labelled tokens; an update learns their mean.

        `logits` and `base` are (n, vocabulary) in fp32, `targets` (n,). A token's loss depends on its own row alone.
        """
        raise NotImplementedError

    def add_loss(self, passes: Passes, part: Part) -> Tensor | None:
        """What one forward pass adds to its update's loss, summed over `part.count` of them; None for nothing.

        What is drawn depends on `part.update` and the seed alone, so that a resumed run, and one of more processes,
        draws the same.
        """
        return None


def load_method(name: str, options: Any, seed: int) -> Method:
    """The method of that name."""
    module = importlib.import_module(f"relearn.training.methods.{name}")
    found: type[Method] = getattr(module, name.title().replace("_", ""))
    return found(options, seed)
