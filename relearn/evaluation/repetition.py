"""Loops, prompt echo and diversity of one output."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from relearn.scripts import MARKS_AND_WORDS


def words(text: str) -> list[str]:
    """Words and punctuation marks, lower case: what n-grams are made of here."""
    return list(MARKS_AND_WORDS.findall(text.lower()))


def repeated_share(text: str, n: int) -> float:
    """The share of an output's words that lie inside an n-gram seen before in it; 0 for less than n + 1 words.

    Holtzman et al. 2020 call the endless case degeneration; rep-n of Welleck et al. 2020 counts n-grams, this counts
    the words they cover, so that it reads as a share of the text.
    """
    tokens = words(text)
    if len(tokens) <= n:
        return 0.0
    covered = [False] * len(tokens)
    seen: set[tuple[str, ...]] = set()
    for index in range(len(tokens) - n + 1):
        gram = tuple(tokens[index : index + n])
        if gram in seen:
            covered[index : index + n] = [True] * n
        seen.add(gram)
    return sum(covered) / len(tokens)


def distinct(text: str, n: int) -> float | None:
    """distinct-n (Li et al. 2016): different n-grams over n-grams; None where there is none."""
    tokens = words(text)
    grams = [tuple(tokens[index : index + n]) for index in range(len(tokens) - n + 1)]
    return len(set(grams)) / len(grams) if grams else None


def loops(text: str, n: int, share: float) -> bool:
    """Whether an output loops: its repeats cover at least `share` of it, or one character or short unit does."""
    if repeated_share(text, n) >= share:
        return True
    # A loop of fewer words than n, or of no words at all ("!!!!!!"), is one as well.
    found = re.search(r"(\S.{0,40}?)\1{7,}", text[:20_000], re.DOTALL)
    return found is not None and len(found[0]) >= share * len(text.strip()) and len(found[0]) >= 16


def echo_share(prompt: str, text: str, n: int = 8) -> float:
    """The share of the output's words inside word n-grams of the prompt (n at most the prompt's length)."""
    source, tokens = words(prompt), words(text)
    n = min(n, len(source))
    if n < 4 or len(tokens) < n:
        return 0.0
    grams = {tuple(source[index : index + n]) for index in range(len(source) - n + 1)}
    covered = [False] * len(tokens)
    for index in range(len(tokens) - n + 1):
        if tuple(tokens[index : index + n]) in grams:
            covered[index : index + n] = [True] * n
    return sum(covered) / len(tokens)


@dataclass(frozen=True)
class Repetition:
    """How an output looks: lengths, repeats, echo."""

    characters: int
    words: int
    repeated_share: float
    loop: bool
    distinct_1: float | None
    distinct_2: float | None
    echo_share: float


def measure_repetition(prompt: str, text: str, ngram: int, loop_share: float) -> Repetition:
    """All of the above for one output."""
    return Repetition(
        characters=len(text),
        words=sum(re.search(r"\w", word) is not None for word in words(text)),
        repeated_share=round(repeated_share(text, ngram), 4),
        loop=loops(text, ngram, loop_share),
        distinct_1=_rounded(distinct(text, 1)),
        distinct_2=_rounded(distinct(text, 2)),
        echo_share=round(echo_share(prompt, text), 4),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def similarity(first: str, second: str) -> float:
    """Dice's coefficient over word bigrams with counts, 0 to 1; two empty texts are the same."""
    a, b = (Counter(map(str, pairwise(t))) if len(t) > 1 else Counter(t) for t in (words(first), words(second)))
    total = sum(a.values()) + sum(b.values())
    return 1.0 if total == 0 else 2 * sum((a & b).values()) / total
