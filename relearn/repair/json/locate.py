"""Where records begin: keys that name a field, and what may stand between one value and the next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from relearn.repair.json.schema import Shape

DOUBLE = '"“”„‟″'
SINGLE = "'‘’‚`"
_LINE = r"(?:[^\n\"'”]|[\"'”](?!\s*[,}\]])){0,300}+\n"
COMMENT = rf"//{_LINE}|/\*(?:[^*]|\*(?!/)){{0,300}}+\*/|\#{_LINE}"
"""A comment; one that holds a quote and a comma or bracket after it is rather code, and the end of a value."""
FENCE = r"```+[\w+-]*|~~~+[\w+-]*"
COLON = re.compile(r"[:：]|=>")
KEY_CHARS = 64
BARE_KEY = re.compile(r"(?<![\w\"'“”‘’`\\.\-])[^\W\d][\w\-]{0,47}$")

SAME = re.compile(rf"(?:[\s,;\ufeff]|{COMMENT})*+")
"""Between two values of one object."""
CLOSING = re.compile(rf"(?:[\s,;}}\])\ufeff]|{COMMENT}|{FENCE})*+")
"""Between the last value and the end of the text."""
CROSSING = re.compile(
    rf"(?:[\s,;{{}}\[\]()\ufeff]|{COMMENT}|{FENCE}|[{DOUBLE}'][\w \-.]{{1,40}}[{DOUBLE}']\s*+:)*+"
)
"""Between the last value of one object and the first key of another."""
OBJECT_END = re.compile(rf"(?:[\s,;\ufeff]|{COMMENT})*+\}}")
OPENING = re.compile(r"[\s\ufeff]*+(\"\"\"|'''|[\"'“”„‟″‘’‚`«])")
NESTED = re.compile(
    rf"[\s\ufeff]*+(?:([{{])\s*+[{DOUBLE}{SINGLE}]?([\w \-]{{1,40}}?)[{DOUBLE}{SINGLE}]?\s*+:|([\[(]))"
)
VALUE_ENDS = DOUBLE + SINGLE + "}])"
LITERAL_BEFORE = re.compile(r"(?:\d|true|false|null|none)$", re.IGNORECASE)


@dataclass(slots=True)
class Anchor:
    """A key that names a field: where it starts, where its value is to be looked for, and how it was written."""

    start: int
    after: int
    name: str
    quote: str
    flag: str | None


def anchors(text: str, shape: Shape) -> Iterator[Anchor]:
    """The keys of fields, in the order of the text; a word in the middle of a sentence is not one."""
    match_key = shape.keys.match
    for colon in COLON.finditer(text):
        base = max(0, colon.start() - KEY_CHARS)
        head = text[base : colon.start()].rstrip(" \t\r\n")
        if not head:
            continue
        last = head[-1]
        if last in DOUBLE or last in SINGLE:
            opening = _opening(head, last)
            key = head[opening + 1 : -1]
            if opening < 0 or not key or key[-1] == "\\" or "\n" in key:
                continue
            if opening and (head[opening - 1] == "\\" or (last in SINGLE and head[opening - 1].isalnum())):
                continue
            bare = False
        else:
            word = BARE_KEY.search(head)
            if word is None:
                continue
            opening, key, bare = word.start(), word.group(), True
        found = match_key(key)
        if found is None:
            continue
        start = base + opening
        if bare and found[0].casefold() not in key.casefold():
            continue  # "for:" and "against:" are words of a sentence too
        if not _structural(text, start, bare):
            continue
        if bare and shape.fields[found[0]] == "string" and not _opens(text, colon.end()):
            continue
        yield Anchor(
            start, colon.end(), found[0], "" if bare else head[opening], "bare_key" if bare else found[1]
        )


def _opening(head: str, last: str) -> int:
    """Where the quote that goes with the last one stands, or -1."""
    if last in "\"'":
        return head.rfind(last, 0, len(head) - 1)
    family = DOUBLE if last in DOUBLE else SINGLE
    return max(head.rfind(quote, 0, len(head) - 1) for quote in family)


def _opens(text: str, at: int) -> bool:
    """Whether a text, or a text in an object or list of its own, begins here."""
    if OPENING.match(text, at):
        return True
    nested = NESTED.match(text, at)
    return nested is not None and OPENING.match(text, nested.end()) is not None


def _structural(text: str, start: int, bare: bool) -> bool:
    """Whether what stands before a key lets a key stand there."""
    before = text[max(0, start - 200) : start]
    stripped = before.rstrip(" \t\r\n\ufeff")
    new_line = "\n" in before[len(stripped) :]
    while stripped.endswith("*/") and "/*" in stripped[:-2]:
        stripped = stripped[: stripped.rindex("/*", 0, -2)].rstrip(" \t\r\n\ufeff")
    if not stripped:
        return True
    last = stripped[-1]
    if last in "{[(":
        return True
    if bare:
        if last == ",":
            earlier = stripped[:-1].rstrip()
            return (
                new_line
                or not earlier
                or earlier[-1] in VALUE_ENDS
                or LITERAL_BEFORE.search(earlier) is not None
            )
        return new_line or last in VALUE_ENDS
    if last in ",;}])" or last in DOUBLE or last in SINGLE or new_line:
        return True
    return LITERAL_BEFORE.search(stripped) is not None
