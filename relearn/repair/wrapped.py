"""Text encoded twice: an object inside a string, of JSON or of Python, with its escapes.

`"{\\"agree\\": ...}"`, a list of such strings as `json.dump` or `str` writes it, and the same without the outer
quotes. The string is undone once, with the offset each character came from, and then read like any other text.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from relearn.repair.locate import anchors
from relearn.repair.schema import Shape
from relearn.repair.verbatim import JSON, PYTHON, unescape_mapped

_BLANK = r"(?:\s|\\[nrt])*+"
_OPEN = re.compile(
    rf"(?<![\w\\])([\"'])(?={_BLANK}(?:```\w*{_BLANK})?[\[{{]{_BLANK}[\[{{]?{_BLANK}(?:\\[\"']|\\u20|[\"'“”\w/#]))"
)
_ESCAPED_KEY = re.compile(r"(?<!\\)\\++[\"']([\w][\w \-]{0,47})\\++[\"']\s*+:")
_END = {
    '"': re.compile(r"(?:[^\"\\]++|\\.)*+\"", re.DOTALL),
    "'": re.compile(r"(?:[^'\\]++|\\.)*+'", re.DOTALL),
}
_AFTER = re.compile(r"\s*+(?:[,\]})\[(]|```|$|[\"'])")
_NEWLINE_AFTER = re.compile(r"[ \t]*+\n")


@dataclass(slots=True)
class Wrapped:
    """A stretch of the raw text and what it says once undone; `offsets[i]` is where `text[i]` came from."""

    start: int
    end: int
    text: str
    offsets: array[int]
    dialect: str


def looks_wrapped(text: str, shape: Shape) -> bool:
    """Whether reading the text once may not be enough (cheap: most texts have neither sign)."""
    return "\\" in text and (_escaped_field(text, 0, shape) is not None or _OPEN.search(text) is not None)


def _escaped_field(text: str, at: int, shape: Shape) -> re.Match[str] | None:
    """The first key of a field whose quotes are escaped."""
    for match in _ESCAPED_KEY.finditer(text, at):
        if shape.keys.match(match.group(1)) is not None:
            return match
    return None


def wrapped(text: str, shape: Shape) -> Iterator[Wrapped]:
    """The strings that hold objects with a field, in order, not overlapping; one never closed goes to the end."""
    at = 0
    while True:
        opening = _OPEN.search(text, at)
        escaped = _escaped_field(text, at, shape)
        if opening is None and escaped is None:
            return
        if opening is not None and (escaped is None or opening.start() < escaped.start()):
            quote = opening.group(1)
            closing = _END[quote].match(text, opening.end())
            inside_end = closing.end() - 1 if closing else len(text)
            inside = text[opening.end() : inside_end]
            whole = closing is not None and (
                _AFTER.match(text, closing.end()) is not None
                or _NEWLINE_AFTER.match(text, closing.end()) is not None
            )
            escaped_key = _escaped_field(inside, 0, shape) is not None
            decoded = ""
            if "\\" in inside and (whole or escaped_key) and not _is_value(text, opening.start(), at):
                dialect = PYTHON if quote == "'" else JSON
                decoded, offsets = unescape_mapped(inside, dialect, opening.end())
            if decoded and next(anchors(decoded, shape), None) is not None:
                yield Wrapped(
                    opening.start(), closing.end() if closing else len(text), decoded, offsets, dialect
                )
                at = closing.end() if closing else len(text)
            else:
                at = opening.end()
            continue
        assert escaped is not None
        # No outer quote: undo the stretch of text around the escaped keys, from the brace before them.
        start = max(text.rfind("{", at, escaped.start()), at)
        brackets = text.rfind("[", max(at, start - 40), start)
        if brackets >= 0 and not text[brackets + 1 : start].strip():
            start = brackets
        decoded, offsets = unescape_mapped(text[start:], JSON, start)
        yield Wrapped(start, len(text), decoded, offsets, JSON)
        return


def _is_value(text: str, quote: int, floor: int) -> bool:
    """Whether a string is the value of a key: then it is a text that happens to begin with a bracket."""
    return text[max(floor, quote - 20) : quote].rstrip().endswith(":")
