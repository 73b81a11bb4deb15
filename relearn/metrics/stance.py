"""Does the reply take the side it was asked to take?

The side that was asked for is in the instruction ("… and disagree with it"), on its first or last line, around
the review. The side that a reply takes is read from what people say when they agree or differ; a reply that says
neither is wrong. How often the references themselves pass is reported beside it: the ceiling of this reading.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from relearn.metrics.metric import Measured, Metric
from relearn.metrics.sides import Side, taken
from relearn.scripts import has_latin_letters
from relearn.statistics.scores import mean

ASKED = re.compile(r"\b(?P<no>disagree\w*|differ|object\w*|oppos\w+)\b|\b(?P<yes>agree\w*|support\w*)\b", re.IGNORECASE)


def asked(prompt: str) -> Side | None:
    """The side an instruction asks for, from its first line or, failing that, its last; None when unclear."""
    lines = [line for line in prompt.strip().splitlines() if line.strip()]
    for line in dict.fromkeys([*lines[:1], *lines[-1:]]):
        sides: set[Side] = {"disagree" if found["no"] else "agree" for found in ASKED.finditer(line[:400])}
        if len(sides) == 1:
            return sides.pop()
    return None


def stance(predictions: Sequence[str], prompts: Sequence[str], references: Sequence[str | None]) -> Measured:
    """`stance`: the share of replies on the side asked for; `stance_reference`: that of the references.

    Where neither the instruction nor the reference tells the side, the item does not count.
    """
    own: list[bool | None] = []
    ceiling: list[bool | None] = []
    for prediction, prompt, reference in zip(predictions, prompts, references, strict=True):
        side = asked(prompt) or (taken(reference) if reference else None)
        own.append(None if side is None else taken(prediction) == side)
        ceiling.append(None if side is None or not reference else taken(reference) == side)
    unseen = sum(not has_latin_letters(reference) for reference in references if reference)
    return Measured(
        [mean("stance", own, proportion=True), mean("stance_reference", ceiling, proportion=True)],
        tallies={"unseen": unseen, "items": len(references)},
    )


def _conclude(measured: Measured) -> Measured:
    unseen, items = measured.tallies["unseen"], measured.tallies["items"]
    if 2 * unseen <= items:
        return measured
    return replace(measured, notes=[f"stance reads English phrases and cannot see {unseen} of {items} references"])


METRIC = Metric(
    name="stance",
    label="stance",
    score=stance,
    reads=("predictions", "prompts", "references"),
    needs=(),
    apart=True,
    conclude=_conclude,
    describe=lambda: {"reading": "phrases of agreement and disagreement, the first one decides"},
)
