"""The sides a reply can take, and the words by which people take them."""

from __future__ import annotations

import re

_ADVERB = (
    r"(?:\w+ly\ |so\ |quite\ |also\ |have\ to\ |must\ |would\ |do\ |just\ |simply\ |really\ |utterly\ |beg\ to\ )*"
)
SAYS_DISAGREE = re.compile(
    rf"""\bi\ {_ADVERB}(?:disagree|dissent)\b(?!\ (?:with\ )?(?:anyone|those|people|critics|the\ (?:critics|people|haters|naysayers)|any\ ))
    |\bi\ (?:do\ not|don['’]?t|can\ ?not|can['’]?t|could\ not|couldn['’]?t)\ {_ADVERB}agree\b(?!\ more)
    |\bcould(?:n['’]?t|\ not)\ disagree\ more\b""",
    re.IGNORECASE | re.VERBOSE,
)
SAYS_AGREE = re.compile(
    rf"""\bi\ {_ADVERB}agree\b(?!\ to\ disagree)
    |\bcould(?:n['’]?t|\ not)\ agree\ more\b
    |\bi\ (?:can['’]?t|can\ ?not|do\ not|don['’]?t)\ disagree\b""",
    re.IGNORECASE | re.VERBOSE,
)
CONCEDES = re.compile(
    r"\b(?:but|however|though|although|yet|still|while|whereas|nevertheless|nonetheless|disagree|except|until|despite|"
    r"otherwise|only|unlike)\b",
    re.IGNORECASE,
)
SENTENCE = re.compile(r"[.!?](?:\s|$)")
SIDES = ("agree", "disagree")


def contradicts(text: str, side: str) -> bool:
    """Whether the first sentence takes the other side. "I agree that ..., but" under disagree is no contradiction."""
    end = SENTENCE.search(text)
    first = text[: end.end()] if end else text[:300]
    if side == "agree":
        return SAYS_DISAGREE.search(first) is not None
    if SAYS_DISAGREE.search(first) is not None:
        return False
    return SAYS_AGREE.search(first) is not None and CONCEDES.search(text) is None
