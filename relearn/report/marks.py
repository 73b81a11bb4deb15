"""A model's output cut into plain, repeated and copied pieces, safe to show.

A model may write anything. The template handles markup (autoescape); characters that would act even as text are
shown by their code points (`relearn.escaping.shown`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from relearn.escaping import shown
from relearn.scripts import MARKS_AND_WORDS

Kind = Literal["plain", "repeat", "copy"]
ECHO = 8  # words of an n-gram that counts as copied from the prompt; as evaluation.repetition.echo_share has it


@dataclass(frozen=True)
class Piece:
    """A stretch of an output."""

    kind: Kind
    text: str


def mark_pieces(prompt: str, text: str, ngram: int) -> list[Piece]:
    """The output in order. A word is `copy` inside words copied from the prompt, `repeat` inside an n-gram seen before.

    The same rules as `echo_share` and `repeated_share`, so that what is marked is what was counted.
    """
    spans = [match.span() for match in MARKS_AND_WORDS.finditer(text)]
    tokens = [text[start:end].lower() for start, end in spans]
    source = MARKS_AND_WORDS.findall(prompt.lower())
    kinds: list[Kind] = ["plain"] * len(tokens)
    _cover(kinds, "repeat", _repeats(tokens, ngram), ngram)
    length = min(ECHO, len(source))
    if length >= 4:
        grams = {tuple(source[index : index + length]) for index in range(len(source) - length + 1)}
        copied = [index for index in range(len(tokens) - length + 1) if tuple(tokens[index : index + length]) in grams]
        _cover(kinds, "copy", copied, length)
    return _joined(text, spans, kinds)


def _repeats(tokens: Sequence[str], ngram: int) -> list[int]:
    seen: set[tuple[str, ...]] = set()
    found = []
    for index in range(len(tokens) - ngram + 1):
        gram = tuple(tokens[index : index + ngram])
        if gram in seen:
            found.append(index)
        seen.add(gram)
    return found


def _cover(kinds: list[Kind], kind: Kind, starts: Sequence[int], length: int) -> None:
    for start in starts:
        kinds[start : start + length] = [kind] * length


def _joined(text: str, spans: Sequence[tuple[int, int]], kinds: Sequence[Kind]) -> list[Piece]:
    """Neighbouring words of a kind as one piece; the space between two kinds is plain."""
    found: list[Piece] = []
    position = 0
    for kind, words in groupby(zip(spans, kinds, strict=True), key=lambda word: word[1]):
        if kind == "plain":
            continue
        places = [span for span, _ in words]
        start, end = places[0][0], places[-1][1]
        if start > position:
            found.append(Piece("plain", shown(text[position:start])))
        found.append(Piece(kind, shown(text[start:end])))
        position = end
    if position < len(text):
        found.append(Piece("plain", shown(text[position:])))
    return found
