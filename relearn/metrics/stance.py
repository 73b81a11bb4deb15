"""Does the reply take the side it was asked to take?

The side that was asked for is in the instruction ("… and disagree with it"), on its first or last line, around
the review. The side that a reply takes is read from what people say when they agree or differ; a reply that says
neither is wrong. How often the references themselves pass is reported beside it: the ceiling of this reading.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from relearn.metrics.metric import Measured, Metric
from relearn.scripts import has_latin_letters
from relearn.statistics.scores import mean

Side = Literal["agree", "disagree"]

ASKED = re.compile(r"\b(?P<no>disagree\w*|differ|object\w*|oppos\w+)\b|\b(?P<yes>agree\w*|support\w*)\b", re.IGNORECASE)

# One list a side, for the metric and for the check of repair.
DISAGREE = r"""
      disagree\w*(?!\ (?:with\ )?(?:anyone|those|people|critics|the\ (?:critics|people|haters|naysayers)|any)\b)
    | dissent | beg\ to\ differ | have\ to\ differ | on\ the\ contrary | (quite|just)\ the\ opposite
    | (felt|feel|thought|think|saw|see)\ (just\ |quite\ |exactly\ )?the\ opposite
    | (do|did|does|could|would|can)\ not\ (\w+ly\ |quite\ )*(agree|see\ it\ that\ way|share)(?!\ more)
    | (don|didn|doesn|couldn|wouldn|can)'t\ (\w+ly\ |quite\ )*(agree|see\ it\ that\ way|share)(?!\ more)
    | cannot\ (\w+ly\ |quite\ )*(agree|share)(?!\ more) | not\ (sure\ I|so\ sure\ I)\ agree | not\ agree(?!\ more)
    | (see|saw)\ (it|this|things|that)\ (very\ |quite\ |rather\ )?differently
    | (seen|watched|saw)\ (another|a\ different|two\ different)\ (films?|movies?)
    | (you|you're|you\ are|that's|that\ is|this\ is|review\ is)\ (just\ |simply\ |quite\ |completely\ )?(wrong|mistaken|unfair|too\ harsh)
    | not\ my\ experience | miss(ed|es)?\ the\ point
    """
AGREE = r"""
      agree\w*(?!\ to\ (?:disagree|differ)) | (do|can|could)(n't|\ not)\ disagree(?!\ more) | can(not|'t)\ disagree(?!\ more)
    | you('re|\ are|\ were)\ (so\ |quite\ |absolutely\ |completely\ |exactly\ )?right | well\ said | spot\ on | so\ true
    | same\ here | (felt|feel|think|thought|saw\ it|see\ it)\ (exactly\ |just\ )?the\ same | (I|do|also)\ share\ your
    | (just|exactly)\ (my|what|how)\ (I|thoughts|feelings) | my\ (thoughts|feelings)\ exactly | glad\ (that\ )?(someone|you)\ said
    | could(n't|\ not)\ (agree|have\ said\ it)\ (more|better) | hit\ the\ nail
    """
# The first phrase of a text decides, so that "I can't disagree" agrees, and "I disagree with those who …" takes no side.
# One search finds it: a reply says where it stands in its first words, and what follows is not read.
TELLING = re.compile(rf"\b(?:(?P<disagree>{DISAGREE})|(?P<agree>{AGREE}))\b", re.IGNORECASE | re.VERBOSE)
# "I agree that it is long, but …" takes up the other side only to leave it.
CONCEDES = re.compile(
    r"\b(?:but|however|though|although|yet|still|while|whereas|nevertheless|nonetheless|disagree|except|until|despite|"
    r"otherwise|only|unlike)\b",
    re.IGNORECASE,
)
SENTENCE = re.compile(r"[.!?](?:\s|$)")
SIDES = ("agree", "disagree")


def asked(prompt: str) -> Side | None:
    """The side an instruction asks for, from its first line or, failing that, its last; None when unclear."""
    lines = [line for line in prompt.strip().splitlines() if line.strip()]
    for line in dict.fromkeys([*lines[:1], *lines[-1:]]):
        sides: set[Side] = {"disagree" if found["no"] else "agree" for found in ASKED.finditer(line[:400])}
        if len(sides) == 1:
            return sides.pop()
    return None


def taken(reply: str) -> Side | None:
    """The side a reply takes: that of its first telling phrase; None when it has none."""
    found = TELLING.search(reply.replace("’", "'"))
    if found is None:
        return None
    return "disagree" if found["disagree"] else "agree"


def contradicts(text: str, side: str) -> bool:
    """Whether the first sentence takes the other side. "I agree that ..., but" under disagree is not a contradiction."""
    end = SENTENCE.search(text)
    found = taken(text[: end.end()] if end else text[:300])
    return found not in (None, side) and (side == "agree" or CONCEDES.search(text) is None)


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
