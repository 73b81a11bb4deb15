"""The verbatim rule: a kept field is a slice of the raw text with its escapes undone, and nothing else.

`unescape` is written apart from the readers (which take JSON strings from the standard library's parser and
Python strings from `ast`), so that `is_slice` checks their answers rather than repeating them.
Escapes: RFC 8259 section 7 for JSON; the Python language reference, section 2.4.1, for Python.
"""

from __future__ import annotations

import re
from array import array

JSON = "json"
PYTHON = "python"
LOOSE = "loose"
"""JSON's escapes, and those of Python's `repr`: what single quotes may hold, whoever wrote them."""
CSV = "csv"
"""A field of a CSV file (RFC 4180): a quote is written twice."""
PLAIN = "plain"
Codec = tuple[str, ...]
"""Dialects undone one after the other, outermost first: ("json", "json") is a string encoded twice."""

QUOTES = "\"'`“”„‟″‘’‚‛«»"
_SIMPLE = {
    '"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "'": "'",
}  # fmt: skip
_PYTHON_SIMPLE = {
    '"': '"', "\\": "\\", "'": "'", "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\n": "",
}  # fmt: skip
_PAIR = r"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_JSON_ESCAPE = re.compile(rf"\\({_PAIR}|u[0-9a-fA-F]{{4}}|.)", re.DOTALL)
_PYTHON_ESCAPE = re.compile(
    rf"\\({_PAIR}|u[0-9a-fA-F]{{4}}|U[0-9a-fA-F]{{8}}|x[0-9a-fA-F]{{2}}|[0-7]{{1,3}}|.)", re.DOTALL
)
_LOOSE_ESCAPE = re.compile(rf"\\({_PAIR}|u[0-9a-fA-F]{{4}}|U[0-9a-fA-F]{{8}}|x[0-9a-fA-F]{{2}}|.)", re.DOTALL)
_CSV_ESCAPE = re.compile(r'"(")')
_ESCAPES = {CSV: _CSV_ESCAPE, JSON: _JSON_ESCAPE, PYTHON: _PYTHON_ESCAPE, LOOSE: _LOOSE_ESCAPE}
_INVALID = re.compile(r"\\(?:u(?![0-9a-fA-F]{4})|[^\"\\/bfnrtu])", re.DOTALL)


def _undo_escape(body: str, dialect: str) -> str:
    """The text of one escape, given without its backslash; an unknown escape means itself."""
    if dialect == CSV:
        return body
    plain = (_PYTHON_SIMPLE if dialect == PYTHON else _SIMPLE).get(body)
    if plain is not None:
        return plain
    if dialect == PYTHON and body[0] in "01234567":
        return chr(int(body, 8))
    if len(body) == 11:
        # Python keeps the two halves apart; a model that writes Python means the character.
        return chr(0x10000 + ((int(body[1:5], 16) - 0xD800) << 10) + int(body[7:], 16) - 0xDC00)
    if len(body) > 1 and int(body[1:], 16) <= 0x10FFFF:
        return chr(int(body[1:], 16))
    return "\\" + body


def unescape(text: str, dialect: str) -> str:
    """The text with its escapes undone; a backslash that starts no escape of the dialect is kept as it is."""
    if dialect == PLAIN or (dialect != CSV and "\\" not in text):
        return text
    pattern = _ESCAPES[dialect]
    return pattern.sub(lambda match: _undo_escape(match.group(1), dialect), text)


def unescape_mapped(text: str, dialect: str, base: int = 0) -> tuple[str, array[int]]:
    """As `unescape`, with the offset each character came from (plus `base`); one more entry for the end."""
    if dialect == PLAIN or (dialect != CSV and "\\" not in text):
        return text, array("q", range(base, base + len(text) + 1))
    pattern = _ESCAPES[dialect]
    parts: list[str] = []
    offsets: array[int] = array("q")
    at = 0
    for match in pattern.finditer(text):
        start = match.start()
        parts.append(text[at:start])
        offsets.extend(range(base + at, base + start))
        plain = _undo_escape(match.group(1), dialect)
        parts.append(plain)
        if len(plain) == match.end() - start:
            offsets.extend(range(base + start, base + match.end()))
        else:
            offsets.extend([base + start] * len(plain))
        at = match.end()
    parts.append(text[at:])
    offsets.extend(range(base + at, base + len(text) + 1))
    return "".join(parts), offsets


def decode(text: str, codec: Codec) -> str:
    """Undoes every dialect of the codec in turn."""
    for dialect in codec:
        text = unescape(text, dialect)
    return text


def has_invalid_escape(text: str) -> bool:
    """Whether a JSON string's inside holds an escape that JSON does not know."""
    at = text.find("\\")
    while at >= 0:
        match = _INVALID.match(text, at)
        if match:
            return True
        at = text.find("\\", at + 2)
    return False


def is_slice(raw: str, value: str, start: int, end: int, codec: Codec) -> bool:
    """Whether the slice of the raw text, with its escapes undone, is the value."""
    if not 0 <= start <= end <= len(raw):
        return False
    if (
        end - start == len(value)
        and raw.startswith(value, start)
        and (("\\" not in value and CSV not in codec) or all(dialect == PLAIN for dialect in codec))
    ):
        return True
    return decode(raw[start:end], codec) == value


def is_encodable(value: str) -> bool:
    """Whether a file in UTF-8 can hold the text: not where an escape left half a character (`\\ud83d` alone)."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def find_delimiters(raw: str, start: int, end: int) -> tuple[bool, bool]:
    """Whether a quote comes just before `start` and just after `end` (an encoded one has backslashes before it)."""
    after = end
    while after < len(raw) and raw[after] == "\\" and after - end < 8:
        after += 1
    return start > 0 and raw[start - 1] in QUOTES, after < len(raw) and raw[after] in QUOTES
