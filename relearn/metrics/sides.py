"""Which side a text takes: what people say when they agree or differ, and the first such phrase decides.

The metric `stance` asks it of a model's answers, and a check of repair of the teacher's replies.
"""

from __future__ import annotations

import re
from typing import Literal

Side = Literal["agree", "disagree"]
SIDES = ("agree", "disagree")

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
