"""Keys nobody asked for: where one begins, and where its value ends."""

from __future__ import annotations

import re

from relearn.repair.json import locate

EXTRA_KEYS = 32
EXTRA_CHARS = 20_000
SCALAR = re.compile(
    r"[+-]?(?:\d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)?|Infinity|NaN)(?![\w.])|"
    r"(?:true|false|null|none|undefined|nan|inf)(?!\w)",
    re.IGNORECASE,
)
QUOTED = {
    '"': re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL),
    "'": re.compile(r"'(?:[^'\\]++|\\.)*+'", re.DOTALL),
    "“": re.compile(r"[“”„‟″](?:[^“”„‟″\\]++|\\.)*+[“”„‟″]", re.DOTALL),
}
QUOTED.update(dict.fromkeys("”„‟″", QUOTED["“"]))
BRACKETED = re.compile(r"[{}\[\]()]|\"(?:[^\"\\]++|\\.)*+\"|'(?:[^'\\]++|\\.)*+'", re.DOTALL)
NEXT_KEY = re.compile(
    rf"(?:\s|,|{locate.COMMENT})*+(?:[\"“”„]([\w][\w \-.]{{0,47}})[\"“”„]|'([\w][\w \-.]{{0,47}})'|([A-Za-z_]\w{{0,40}}))\s*+:"
)


def skip_value(text: str, at: int, stop: int) -> int | None:
    """The offset after one whole value of a key nobody asked for, JSON or Python; None when it is not one."""
    space = locate.SAME.match(text, at, stop)
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
