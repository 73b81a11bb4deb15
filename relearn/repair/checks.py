"""Content checks: why a reply that was read without fault should still not be learned from.

Each has its own reason in the ledger and its own threshold in the profile. They judge whole texts and change
nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from difflib import SequenceMatcher
from functools import lru_cache
from typing import TYPE_CHECKING

from relearn.records import Source

if TYPE_CHECKING:
    from relearn.params.repair import TaskRepair

GRAM = 5
WORD = re.compile(r"\w+(?:['’]\w+)*")
REFUSAL = re.compile(
    r"""^\W*(?:(?:i['’]?m|i\ am)\ (?:very\ |really\ |truly\ )?sorry,?\ (?:but\ )?(?:i\ )?(?:can['’]?t|can\ ?not|am\ unable|won['’]?t|i['’]?m\ unable)
    |(?:sorry|apologies)[,.]?\ (?:but\ )?i\ (?:can['’]?t|can\ ?not|am\ unable|won['’]?t)
    |i\ apologi[sz]e,?\ but\ i
    |i\ (?:can['’]?t|can\ ?not|am\ unable\ to|am\ not\ able\ to|won['’]?t|will\ not)\ (?:help|assist|comply|provide|fulfil|fulfill|generate|write|create|produce|do\ that|respond|complete|answer)
    |i['’]?m\ (?:unable|not\ able)\ to\ (?:help|assist|comply|provide|fulfil|fulfill|generate|write|create|produce|respond|complete|answer)
    |as\ an?\ (?:ai|artificial\ intelligence|large\ language|language)\b)""",
    re.IGNORECASE | re.VERBOSE,
)
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


def _split_words(text: str) -> list[str]:
    return WORD.findall(text.casefold())


@lru_cache(maxsize=4)
def _list_grams(text: str) -> frozenset[tuple[str, ...]]:
    """The word 5-grams of a review, kept for both of its replies."""
    words = _split_words(text)
    return frozenset(zip(*(words[at:] for at in range(GRAM)), strict=False))


def measure_echo(reply: str, review: str) -> float:
    """The share of the reply's word 5-grams that stand in the review; 0 for a reply of fewer than five words."""
    words = _split_words(reply)
    if len(words) < GRAM:
        return 0.0
    seen = _list_grams(review)
    grams = list(zip(*(words[at:] for at in range(GRAM)), strict=False))
    return sum(gram in seen for gram in grams) / len(grams)


def is_echo(reply: str, review: str, threshold: float) -> bool:
    """Whether `measure_echo` reaches the threshold; told cheaply where too few of the reply's words stand in the review."""
    words = _split_words(reply)
    folded = review.casefold()
    run = possible = 0
    for word in words:
        run = run + 1 if word in folded else 0
        possible += run >= GRAM
    total = len(words) - GRAM + 1
    return total > 0 and possible >= threshold * total and measure_echo(reply, review) >= threshold


def are_alike(first: str, second: str, threshold: float) -> bool:
    """Whether two texts are the same from `threshold` on: twice the words matched in order, over all words."""
    one, two = _split_words(first), _split_words(second)
    needed = threshold * (len(one) + len(two))
    # Two bounds from above before the costly count: the shorter text, and the words in any order.
    if 2 * min(len(one), len(two)) < needed or 2 * (Counter(one) & Counter(two)).total() < needed:
        return False
    return SequenceMatcher(None, one, two, autojunk=False).ratio() >= threshold


def is_refusal(text: str) -> bool:
    """Whether the teacher declined to answer."""
    return REFUSAL.match(text) is not None


def contradicts_stance(text: str, stance: str) -> bool:
    """Whether the first sentence takes the other side. "I agree that ..., but" under disagree is no contradiction."""
    end = SENTENCE.search(text)
    first = text[: end.end()] if end else text[:300]
    if stance == "agree":
        return SAYS_DISAGREE.search(first) is not None
    if SAYS_DISAGREE.search(first) is not None:
        return False
    return SAYS_AGREE.search(first) is not None and CONCEDES.search(text) is None


def find_faults(text: str, row: str, source: Source, rules: TaskRepair) -> Iterator[str]:
    """Why the text of a row is refused, in the order of the checks; nothing when it is fit to learn from.

    `similarity` is judged by the caller, who has both texts.
    """
    stripped = text.strip()
    for check in rules.checks:
        if check.kind == "refusal" and is_refusal(stripped):
            yield "refusal"
        elif check.kind == "length" and len(stripped) < check.min:
            yield "too_short"
        elif check.kind == "length" and len(stripped) > check.max:
            yield "too_long"
        elif check.kind == "boilerplate":
            folded = stripped.casefold()
            if any(phrase.casefold() in folded for phrase in check.phrases):
                yield "boilerplate"
        elif check.kind == "contradiction" and row in check.sides and contradicts_stance(stripped, check.sides[row]):
            yield "contradiction"
        elif check.kind == "echo" and is_echo(stripped, source.fields[check.of], check.share):
            yield "echo"
