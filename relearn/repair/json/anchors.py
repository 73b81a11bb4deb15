"""Where keys are in a broken text: those that name a field, those nobody asked for, and what is between them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from relearn.repair.json.schema import RecordSchema

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
CROSSING = re.compile(rf"(?:[\s,;{{}}\[\]()\ufeff]|{COMMENT}|{FENCE}|[{DOUBLE}'][\w \-.]{{1,40}}[{DOUBLE}']\s*+:)*+")
"""Between the last value of one object and the first key of another."""
OBJECT_END = re.compile(rf"(?:[\s,;\ufeff]|{COMMENT})*+\}}")
OPENING = re.compile(r"[\s\ufeff]*+(\"\"\"|'''|[\"'“”„‟″‘’‚`«])")
NESTED = re.compile(rf"[\s\ufeff]*+(?:([{{])\s*+[{DOUBLE}{SINGLE}]?([\w \-]{{1,40}}?)[{DOUBLE}{SINGLE}]?\s*+:|([\[(]))")
VALUE_ENDS = DOUBLE + SINGLE + "}])"
SCALAR = re.compile(
    r"[$€£¥]?[+-]?(?:\d[\d_]*(?:[,.' \u00a0\u202f]\d{3}(?!\d))*(?:[.,]\d*)?(?:[eE][+-]?\d+)?(?:\s?[%€£$¥])?|Infinity|NaN)(?![\w.])|"
    r"(?:true|false|null|none|undefined|nan|inf)(?!\w)",
    re.IGNORECASE,
)
FLAG = re.compile(
    rf"[\s,;]*+[{DOUBLE}{SINGLE}]?\w[\w \-.]{{0,47}}[{DOUBLE}{SINGLE}]?\s*+:\s*+(?:<SCALAR>)(?=\s*+,)".replace(
        "<SCALAR>", SCALAR.pattern
    ),
    re.IGNORECASE,
)
"""A key that holds a flag or a number, and its value."""
LITERAL_BEFORE = re.compile(r"(?:\d|true|false|null|none)$", re.IGNORECASE)
EXTRA_KEYS = 32
EXTRA_CHARS = 20_000
QUOTED = {
    '"': re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL),
    "'": re.compile(r"'(?:[^'\\]++|\\.)*+'", re.DOTALL),
    "“": re.compile(r"[“”„‟″](?:[^“”„‟″\\]++|\\.)*+[“”„‟″]", re.DOTALL),
}
QUOTED.update(dict.fromkeys("”„‟″", QUOTED["“"]))
BRACKETED = re.compile(r"[{}\[\]()]|\"(?:[^\"\\]++|\\.)*+\"|'(?:[^'\\]++|\\.)*+'", re.DOTALL)
NEXT_KEY = re.compile(
    rf"(?:\s|,|{COMMENT})*+(?:[\"“”„]([\w][\w \-.]{{0,47}})[\"“”„]|'([\w][\w \-.]{{0,47}})'|([A-Za-z_]\w{{0,40}}))\s*+:"
)


@dataclass(slots=True)
class KeyAnchor:
    """A key that names a field: where it starts, where its value is to be looked for, and how it was written."""

    start: int
    after: int
    name: str
    quote: str
    flag: str | None


def find_anchors(text: str, schema: RecordSchema) -> Iterator[KeyAnchor]:
    """The keys of fields, in the order of the text; a word in the middle of a sentence is not one."""
    match_key = schema.keys.match
    for colon in COLON.finditer(text):
        base = max(0, colon.start() - KEY_CHARS)
        head = text[base : colon.start()].rstrip(" \t\r\n")
        if not head:
            continue
        last = head[-1]
        if last in DOUBLE or last in SINGLE:
            # The quote that goes with the last one: the same, or any of its family where they are typographic.
            family = last if last in "\"'" else DOUBLE if last in DOUBLE else SINGLE
            opening = max([head.rfind(quote, 0, len(head) - 1) for quote in family])
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
        if not _is_structural(text, start, bare):
            continue
        if bare and schema.fields[found[0]] == "string" and not _opens_text(text, colon.end()):
            continue
        yield KeyAnchor(start, colon.end(), found[0], "" if bare else head[opening], "bare_key" if bare else found[1])


def _opens_text(text: str, at: int) -> bool:
    """Whether a text, or a text in an object or list of its own, begins here."""
    if OPENING.match(text, at):
        return True
    nested = NESTED.match(text, at)
    if nested is None:
        return False
    return OPENING.match(text, nested.end()) is not None or (
        nested.group(2) is not None and OPENING.match(text, skip_flags(text, nested.end(1), len(text))) is not None
    )


def skip_flags(text: str, at: int, stop: int) -> int:
    """Past the keys of an object that hold flags and numbers, and the key of the text that follows them."""
    while (flag := FLAG.match(text, at, stop)) is not None:
        at = flag.end()
    key = NEXT_KEY.match(text, at, stop)
    return key.end() if key is not None else at


def _is_structural(text: str, start: int, bare: bool) -> bool:
    """Whether what comes before a key allows a key there."""
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
            return new_line or not earlier or earlier[-1] in VALUE_ENDS or LITERAL_BEFORE.search(earlier) is not None
        return new_line or last in VALUE_ENDS
    if last in ",;}])" or last in DOUBLE or last in SINGLE or new_line:
        return True
    return LITERAL_BEFORE.search(stripped) is not None


def skip_value(text: str, at: int, stop: int) -> int | None:
    """The offset after one whole value of a key nobody asked for, JSON or Python; None when it is not one."""
    space = SAME.match(text, at, stop)
    assert space is not None
    at = space.end()
    char = text[at : at + 1]
    stop = min(stop, at + EXTRA_CHARS)
    pattern = QUOTED.get(char)
    if pattern is not None:
        match = pattern.match(text, at, stop)
        return match.end() if match else None
    if char and char in "{[(":
        depth = 0
        for match in BRACKETED.finditer(text, at, stop):
            mark = match.group()
            if mark in "{[(":
                depth += 1
            elif mark in "}])":
                depth -= 1
                if depth == 0:
                    return match.end()
        return None
    match = SCALAR.match(text, at, stop)
    return match.end() if match else None
