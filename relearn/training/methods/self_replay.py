"""Self-replay (Marek et al. 2026, arXiv 2605.26097): the model is kept close to the base on rows that the base wrote
itself.

    kl:    loss = cross entropy + beta · mean over an update's sampled tokens of KL(π₀‖π)
    rows:  the sampled rows are rows to learn like the others

π₀ is the base, the same weights with the adapter as it starts; the divergence is exact, over the whole vocabulary. The rows
are drawn from the base at temperature 1 by the stage `sample`, once, before training (`finetune_2b.sample`): prompt and answer
from what the chat template puts before a user's turn, or answers to the new tasks' prompts. No old data is used.

The authors' code (github.com/martin-marek/forgetting, experiments/instruct: losses.py, train_lm.py) has both, as `kl_pre` and
`ntp_pre`: the same divergence, the mean over a batch of sampled rows beside each batch of the task's. It draws new rows as
training goes on, 32 of 512 tokens an update beside 128 of the task's, from the start of a text; here some rows are drawn once
and gone through again and again, so that they can be looked at, and a resumed run repeats.

Parameters: `beta` (the authors try 1, 3 and 10); `per_update`, sampled rows of each update; `mode`. In mode rows all are
mixed in, so that there are more updates, and the other two do nothing.
Cost: drawing the rows; each update, forward and backward over `per_update` rows and a forward pass of the base over them:
with half as many as the update has rows of its own, and of like length, about two thirds more time.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from torch import Tensor

from relearn.errors import InputError
from relearn.training.method import Method, Part
from relearn.training.passes import Passes, divergence
from relearn.training.rows import NOTHING, EncodedRow, EncodedRows, collate


class SelfReplay(Method):
    """Kept close to the base on what the base wrote."""

    needs_samples = compares = True
    pad = 0

    def begin(self, passes: Passes, rows: EncodedRows, pad: int) -> EncodedRows:
        """The rows, in mode rows with the sampled ones. Raises InputError where there are none."""
        if not self.samples:
            raise InputError("method: self_replay needs rows that the base wrote; run the stage sample (dvc repro)")
        self.pad = pad
        return rows if self.options.mode == "kl" else EncodedRows([*rows.rows, *self.samples], rows.too_long)

    def cost(self, rows: int) -> float:
        """With sampled rows of like length, which the base reads too."""
        return 1 + 4 / 3 * self.options.per_update / rows if self.options.mode == "kl" else 1.0

    def add_loss(self, passes: Passes, part: Part) -> Tensor | None:
        if self.options.mode == "rows":
            return None
        chosen = self._choose(part.update)
        own = chosen[part.index :: part.count]
        if not own and not passes.together:
            return None
        batch = {name: value.to(passes.model.device) for name, value in collate(own or [NOTHING], self.pad).items()}
        losses = passes.losses(batch, _diverge, with_base=True)
        held: Tensor = self.options.beta * losses.sum() / sum(len(row.learned()) for row in chosen)
        return held

    def _choose(self, update: int) -> Sequence[EncodedRow]:
        """The sampled rows of an update: they are gone through again and again, each time in another order."""
        found = []
        for place in range(update * self.options.per_update, (update + 1) * self.options.per_update):
            turn, at = divmod(place, len(self.samples))
            order = random.Random(f"self_replay {self.seed} {turn}").sample(range(len(self.samples)), len(self.samples))
            found.append(self.samples[order[at]])
        return found


def _diverge(logits: Tensor, targets: Tensor, base: Tensor | None) -> Tensor:
    assert base is not None
    return divergence(base, logits)
