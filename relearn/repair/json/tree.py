"""Values with the offsets they stand at, and the strict JSON reading that makes them.

The grammar is RFC 8259. The standard library's parser gives no offsets and keeps only the last of two equal
keys, so the walk is made here; strings are undone by `json.loads`, so that `verbatim` can check them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from relearn.repair.json.verbatim import JSON, Codec

MAX_DEPTH = 48
SPACE = re.compile(r"[ \t\n\r\ufeff]*+")
STRING = re.compile(r'"((?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+)"')
NUMBER = re.compile(r"-?(?:0|[1-9]\d*+)(?:\.\d++)?(?:[eE][+-]?\d++)?(?![\w.])", re.ASCII)
NAME = re.compile(r"(?:true|false|null)(?!\w)")
NAMES: dict[str, bool | None] = {"true": True, "false": False, "null": None}


@dataclass(slots=True)
class Node:
    """A value and where it stands: for a string, the offsets of its inside and the codec that undoes it.

    `kind` is one of string, number, boolean, null, list, object; the value of a list is its nodes, of an object
    its (key, node) pairs in order, repeated keys included.
    """

    kind: str
    value: Any
    start: int
    end: int
    codec: Codec = (JSON,)
    flags: tuple[str, ...] = ()


@dataclass(slots=True)
class Part:
    """A field as a reading found it: its value and where it stands in the text read.

    `items` are the spans of the elements of a list. `tail` is empty for a whole field; otherwise why it is not
    kept: `cut_off` when the text ends inside it, `ambiguous_end`, ...
    """

    value: Any
    start: int
    end: int
    codec: Codec = (JSON,)
    flags: tuple[str, ...] = ()
    items: tuple[tuple[int, int], ...] | None = None
    lost: str = ""


@dataclass(slots=True)
class Draft:
    """A record as a reading found it, from `start` to `end` of the text read."""

    start: int
    end: int
    parts: dict[str, Part] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    extra: dict[str, Any] = field(default_factory=dict)


def read_strict(text: str, start: int, budget: int = 1 << 62) -> tuple[Node, int] | int:
    """Reads one JSON value at `start`: (the node, the offset after it), or the offset where it stops being JSON.

    A value nested deeper than MAX_DEPTH or longer than `budget` counts as not JSON.
    """
    limit = min(len(text), start + budget)

    def value(at: int, depth: int) -> tuple[Node | None, int]:
        if at >= limit or depth > MAX_DEPTH:
            return None, at
        char = text[at]
        if char == '"':
            match = STRING.match(text, at, limit)
            if match is None:
                return None, at + 1
            inside = match.group(1)
            plain = json.loads(match.group()) if "\\" in inside else inside
            return Node("string", plain, at + 1, match.end() - 1), match.end()
        if char == "{":
            pairs: list[tuple[str, Node]] = []
            here = SPACE.match(text, at + 1).end()  # type: ignore[union-attr]
            if text.startswith("}", here):
                return Node("object", pairs, at, here + 1), here + 1
            while True:
                match = STRING.match(text, here, limit)
                if match is None:
                    return None, here
                inside = match.group(1)
                key = json.loads(match.group()) if "\\" in inside else inside
                here = SPACE.match(text, match.end()).end()  # type: ignore[union-attr]
                if not text.startswith(":", here):
                    return None, here
                here = SPACE.match(text, here + 1).end()  # type: ignore[union-attr]
                node, here = value(here, depth + 1)
                if node is None:
                    return None, here
                pairs.append((key, node))
                here = SPACE.match(text, here).end()  # type: ignore[union-attr]
                if text.startswith("}", here):
                    return Node("object", pairs, at, here + 1), here + 1
                if not text.startswith(",", here) or here >= limit:
                    return None, here
                here = SPACE.match(text, here + 1).end()  # type: ignore[union-attr]
        if char == "[":
            nodes: list[Node] = []
            here = SPACE.match(text, at + 1).end()  # type: ignore[union-attr]
            if text.startswith("]", here):
                return Node("list", nodes, at, here + 1), here + 1
            while True:
                node, here = value(here, depth + 1)
                if node is None:
                    return None, here
                nodes.append(node)
                here = SPACE.match(text, here).end()  # type: ignore[union-attr]
                if text.startswith("]", here):
                    return Node("list", nodes, at, here + 1), here + 1
                if not text.startswith(",", here) or here >= limit:
                    return None, here
                here = SPACE.match(text, here + 1).end()  # type: ignore[union-attr]
        match = NAME.match(text, at)
        if match is not None:
            word = NAMES[match.group()]
            kind = "null" if word is None else "boolean"
            return Node(kind, word, at, match.end()), match.end()
        match = NUMBER.match(text, at)
        if match is not None:
            return Node("number", number(match.group()), at, match.end()), match.end()
        return None, at

    node, end = value(start, 0)
    return end if node is None else (node, end)


def number(literal: str) -> int | float:
    """The number a JSON literal names; one too long for an int to be read safely is a float."""
    if len(literal) < 400 and literal.lstrip("-").isdigit():
        return int(literal)
    return float(literal)
