"""STM, selective token masking (Wu et al. 2025, arXiv 2501.14315): tokens that surprise the base are not learned.

    loss = mean of −log π(y) over the labelled tokens with 1 / π₀(y) ≤ threshold

1 / π₀(y) is the token's perplexity under the base. As in the authors' code (github.com/appier-research/
robust-llm-finetunes: generate_stm_training_data.py, and collate_fn.py, which masks `ppl > threshold`) it is measured once,
before training, and the mean is over what is left. A masked token is still read, as part of what others follow. Rows of which
nothing is left stay in their batches, so that there are as many updates as without.

Parameters: `threshold`, 2.5 in the paper and code, that is π₀(y) ≥ 0.4. The adapter's provenance.json has the share masked.
Cost: one pass of the base over the rows before training.
"""

from __future__ import annotations

import math
from dataclasses import replace

from relearn.errors import InputError
from relearn.training.method import Method
from relearn.training.passes import Passes, cross_entropy
from relearn.training.rows import EncodedRow, EncodedRows, collate

BATCH = 8  # rows of one pass of the base


class Stm(Method):
    """Learns what does not surprise the base."""

    compares = True

    def begin(self, passes: Passes, rows: EncodedRows, pad: int) -> EncodedRows:
        """The rows, with surprising tokens masked. Raises InputError where no token is left."""
        found: list[EncodedRow] = []
        for start in range(0, len(rows), BATCH):
            found += self._mask(passes, rows.rows[start : start + BATCH], pad)
        left, labelled = (sum(len(row.learned()) for row in some) for some in (found, rows.rows))
        if not left:
            raise InputError(
                "finetune_2b.methods.stm.threshold: the base finds every token less likely than 1 in "
                f"{self.options.threshold:g}, so nothing is left to learn; raise it"
            )
        self.facts["masked"] = round(1 - left / labelled, 4)
        return EncodedRows(found, rows.too_long)

    def _mask(self, passes: Passes, rows: list[EncodedRow], pad: int) -> list[EncodedRow]:
        batch = {name: value.to(passes.model.device) for name, value in collate(rows, pad).items()}
        losses = iter(passes.base_losses(batch, lambda logits, targets, _: cross_entropy(logits, targets)).tolist())
        most = math.log(self.options.threshold)
        surprising = [[at for at in row.learned() if next(losses) > most] for row in rows]
        return [
            replace(row, masked=(*row.masked, *((at, at + 1) for at in places)))
            for row, places in zip(rows, surprising, strict=True)
        ]
