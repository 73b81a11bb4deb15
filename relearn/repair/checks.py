"""Content checks: why a reply that reads without fault should still not be learned from.

A task declares its checks (`repair.<task>.checks`), each a kind with its values; each has its own reason in the ledger.
They judge whole texts and change nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, Any

from relearn.errors import InputError
from relearn.metrics.sides import SIDES, contradicts

if TYPE_CHECKING:
    from relearn.params.repair import (
        BoilerplateCheck,
        Check,
        ContradictionCheck,
        EchoCheck,
        LengthCheck,
        RefusalCheck,
        SimilarityCheck,
    )

GRAM = 5
WORD = re.compile(r"\w+(?:['’]\w+)?")
# Of ASCII: lower case, and a space for all that is in no word.
FOLDED = bytes(ord(mark.lower()) if mark.isalnum() or mark in "_'" else 32 for mark in map(chr, range(128))).ljust(256)
REFUSAL = re.compile(
    r"""^\W*(?:(?:i['’]?m|i\ am)\ (?:very\ |really\ |truly\ )?sorry,?\ (?:but\ )?(?:i\ )?(?:can['’]?t|can\ ?not|am\ unable|won['’]?t|i['’]?m\ unable)
    |(?:sorry|apologies)[,.]?\ (?:but\ )?i\ (?:can['’]?t|can\ ?not|am\ unable|won['’]?t)
    |i\ apologi[sz]e,?\ but\ i
    |i\ (?:can['’]?t|can\ ?not|am\ unable\ to|am\ not\ able\ to|won['’]?t|will\ not)\ (?:help|assist|comply|provide|fulfil|fulfill|generate|write|create|produce|do\ that|respond|complete|answer)
    |i['’]?m\ (?:unable|not\ able)\ to\ (?:help|assist|comply|provide|fulfil|fulfill|generate|write|create|produce|respond|complete|answer)
    |as\ an?\ (?:ai|artificial\ intelligence|large\ language|language)\b)""",
    re.IGNORECASE | re.VERBOSE,
)


@lru_cache(maxsize=8)
def split_words(text: str) -> tuple[str, ...]:
    """The words of a text, kept for the other checks of the same reply."""
    if not text.isascii():
        return tuple(WORD.findall(text.casefold()))
    # The same words, in a quarter of the time.
    runs = text.encode().translate(FOLDED).decode().split()
    if "'" not in text:
        return tuple(runs)
    return tuple(word for run in runs for word in (WORD.findall(run) if "'" in run else (run,)))


@lru_cache(maxsize=8)
def _join_words(text: str) -> str:
    """The words of a source with a space around each, kept for all of its replies."""
    return f" {' '.join(split_words(text))} "


def measure_echo(reply: str, source: str) -> float:
    """The share of the reply's word 5-grams that are in the source; 0 for a reply of fewer than five words."""
    known = set(_make_grams(split_words(source), GRAM))
    found = [gram in known for gram in _make_grams(split_words(reply), GRAM)]
    return sum(found) / len(found) if found else 0.0


def _make_grams(words: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    return zip(*(words[at:] for at in range(size)), strict=False)


def is_echo(reply: str, source: str, threshold: float) -> bool:
    """Whether `measure_echo` reaches the threshold.

    Decided cheaply where too few of every fourth word pair are in the source: each 5-gram holds just one of these, and
    each of these is in four 5-grams at most.
    """
    words, shown = split_words(reply), _join_words(source)
    found = sum([f" {one} {two} " in shown for one, two in zip(words[::4], words[1::4], strict=False)])
    return 4 * found >= threshold * (len(words) + 1 - GRAM) > 0 and measure_echo(reply, source) >= threshold


def are_alike(first: str, second: str, threshold: float) -> bool:
    """Whether two texts are the same from `threshold` on: twice the words matched in order, over all words."""
    one, two = split_words(first), split_words(second)
    needed = threshold * (len(one) + len(two))
    # Bounds from above before the costly count: the shorter text, the words that both have, and those in any order.
    if 2 * min(len(one), len(two)) < needed or 2 * sum(map(set(two).__contains__, one)) < needed:
        return False
    if 2 * (Counter(one) & Counter(two)).total() < needed:
        return False
    return SequenceMatcher(None, one, two, autojunk=False).ratio() >= threshold


def is_refusal(text: str) -> bool:
    """Whether the teacher declined to answer."""
    return REFUSAL.match(text) is not None


# What each kind of check finds: from its values, the responses by row and the fields of the source, each row that is
# refused and why.
Faults = Iterator[tuple[str, str]]
Find = Callable[[Any, Mapping[str, str], Mapping[str, str]], Faults]
KINDS: dict[str, Find] = {}


def check(kind: str) -> Callable[[Find], Find]:
    """Registers what finds the faults of one kind (`repair.<task>.checks`)."""

    def register(find: Find) -> Find:
        KINDS[kind] = find
        return find

    return register


@check("refusal")
def find_refusals(check: RefusalCheck, responses: Mapping[str, str], source: Mapping[str, str]) -> Faults:
    for row, text in responses.items():
        if is_refusal(text):
            yield row, "refusal"


@check("length")
def find_wrong_lengths(check: LengthCheck, responses: Mapping[str, str], source: Mapping[str, str]) -> Faults:
    for row, text in responses.items():
        if len(text) < check.min:
            yield row, "too_short"
        elif len(text) > check.max:
            yield row, "too_long"


@check("boilerplate")
def find_boilerplate(check: BoilerplateCheck, responses: Mapping[str, str], source: Mapping[str, str]) -> Faults:
    phrases = [phrase.casefold() for phrase in check.phrases]
    for row, text in responses.items():
        folded = text.casefold()
        if any(map(folded.__contains__, phrases)):
            yield row, "boilerplate"


@check("contradiction")
def find_contradictions(check: ContradictionCheck, responses: Mapping[str, str], source: Mapping[str, str]) -> Faults:
    for row, side in check.sides.items():
        if row in responses and contradicts(responses[row], side):
            yield row, "contradiction"


@check("echo")
def find_echoes(check: EchoCheck, responses: Mapping[str, str], source: Mapping[str, str]) -> Faults:
    for row, text in responses.items():
        if is_echo(text, source[check.of], check.share):
            yield row, "echo"


@check("similarity")
def find_alike(check: SimilarityCheck, responses: Mapping[str, str], source: Mapping[str, str]) -> Faults:
    for one, other in combinations([row for row in check.rows if row in responses], 2):
        if are_alike(responses[one], responses[other], check.share):
            yield from ((row, f"{one}_is_{other}") for row in (one, other))


def find_faults(checks: Iterable[Check], responses: Mapping[str, str], source: Mapping[str, str]) -> dict[str, str]:
    """Why rows are refused, by row: the first check that finds a fault decides, and later ones do not see the row.

    `responses` are the texts to learn by row, without space around them; `source` the fields the teacher was shown.
    """
    faults: dict[str, str] = {}
    standing = responses
    for one in checks:
        found = list(KINDS[one.kind](one, standing, source))
        if found:
            for row, reason in found:
                faults.setdefault(row, reason)
            standing = {row: text for row, text in responses.items() if row not in faults}
    return faults


def refuse_unknown_names(checks: Iterable[Check], fields: Collection[str], where: str) -> None:
    """InputError when a check names a field that the source does not have, or a side without a word list."""
    for one in checks:
        if one.kind == "echo" and one.of not in fields:
            raise InputError(f"{where}: echo: {one.of} is not a field of the source; choose from {', '.join(fields)}")
        unknown = [side for side in one.sides.values() if side not in SIDES] if one.kind == "contradiction" else []
        if unknown:
            raise InputError(
                f"{where}: contradiction: no words are known for {unknown[0]}; the sides are {', '.join(SIDES)}"
            )
