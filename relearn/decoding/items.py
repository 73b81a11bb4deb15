"""What is decoded and what comes of it, whichever backend answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from relearn.params.predict import Beam, Greedy, Predict, Sampled, TopK
from relearn.records import Message, Prediction, Record, show_turns

Strategy = Greedy | Beam | Sampled | TopK


def is_weighed(task: str, options: Predict) -> bool:
    """Whether the likelihoods of a task's references are wanted."""
    return options.likelihoods is None or task in options.likelihoods


@dataclass(frozen=True)
class Prompt:
    """A prompt to answer: its turns, the most tokens an answer may have, what it is measured against, and whether the
    likelihood of that is wanted. Prompts of different tasks are never in one batch."""

    messages: Sequence[Message]
    limit: int
    reference: str | None
    weighed: bool = True
    task: str = ""

    @property
    def weighed_reference(self) -> str | None:
        """The reference, where there is one whose likelihood is wanted."""
        return self.reference if self.weighed else None

    @property
    def instruction(self) -> str:
        """The prompt for people."""
        return show_turns(list(self.messages))


@dataclass(frozen=True)
class Decoded:
    """What came: the text without prompt and reasoning, and whether an end token or the limit ended it.

    `nll` is the summed negative log-likelihood in nats of the item's reference and its end, or None; `raw` the raw
    text, where reasoning was removed.
    """

    text: str
    finish_reason: Literal["stop", "length"]
    nll: float | None
    raw: str | None = None

    def to_prediction(self, identity: str, task: str, group: str, prompt: str, reference: str | None) -> Prediction:
        """The record that is scored."""
        return Prediction(
            id=identity,
            task=task,
            group=group,
            prompt=prompt,
            reference=reference,
            prediction=self.text,
            raw=self.raw,
            finish_reason=self.finish_reason,
            nll=None if self.nll is None else round(self.nll, 4),
            bytes=None if reference is None else len(reference.encode()),
        )


class CurveRow(Record):
    """How likely a held-out row's reference is under the tuned model with so much of its change.

    `nll[i]` is in nats, with the factor `factors[i]` of the change; factors ascend, and 0 (base) and 1 (the tuned model)
    are among them. `bytes` is the reference's length in UTF-8.
    """

    id: str
    task: str
    group: str
    bytes: int
    factors: list[float]
    nll: list[float]
