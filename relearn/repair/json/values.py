"""Values with their offsets, read in three ways: as JSON, as Python, and by json-repair.

JSON is RFC 8259. The standard library's parser gives no offsets and keeps only the last of two equal keys, so the
walk is made here; strings are undone by `json.loads`, so that `verbatim` can check them.
Python is a dict or list as `repr` or a person writes it, read by `ast`. Raw strings and triple quotes are understood;
strings that are joined by being side by side, or hold escapes `verbatim` does not undo, fail its check later.
json-repair (https://github.com/mangiucugna/json_repair) guesses, and is quadratic or worse on some input; size and
depth are bounded before it is asked. Its answers have no offsets: each text is looked up in the raw.
"""

from __future__ import annotations

import ast
import json
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import json_repair

from relearn.repair.json.verbatim import JSON, PLAIN, PYTHON, Codec

MAX_DEPTH = 48
MAX_PYTHON_CHARS = 100_000
MAX_TOLERANT_CHARS = 8_000
_SPACE = r"[ \t\n\r\ufeff]*+"
_STRING = r'"((?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+)"'
SPACE = re.compile(_SPACE)
STRING = re.compile(_STRING)
MEMBER = re.compile(rf"{_STRING}{_SPACE}:{_SPACE}(?:{_STRING})?")
"""A key, and its value where that is a string: most are."""
AFTER = re.compile(rf"{_SPACE}([,}}\]]){_SPACE}")
NUMBER = re.compile(r"-?(?:0|[1-9]\d*+)(?:\.\d++)?(?:[eE][+-]?\d++)?(?![\w.])", re.ASCII)
NAME = re.compile(r"(?:true|false|null)(?!\w)")
NAMES: dict[str, bool | None] = {"true": True, "false": False, "null": None}
PREFIX = re.compile(r"([rRuU]?)(\"\"\"|'''|\"|')")
INVALID_ESCAPE = re.compile(r"\\[^\\'\"abfnrtv0-7xuUN\r\n]")
LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(slots=True)
class ValueNode:
    """A value and where it is: for a string, the offsets of its inside and the codec that undoes it.

    `kind` is one of string, number, boolean, null, list, object; the value of a list is its nodes, of an object
    its (key, node) pairs in order, repeated keys included.
    """

    kind: str
    value: Any
    start: int
    end: int
    codec: Codec = (JSON,)
    flags: tuple[str, ...] = ()


def read_strict(text: str, start: int) -> tuple[ValueNode, int] | int:
    """Reads one JSON value at `start`: (the node, the offset after it), or the offset where it stops being JSON.

    A value nested deeper than MAX_DEPTH counts as not JSON.
    """

    def read_string(match: re.Match[str], group: int = 1) -> ValueNode:
        start, end = match.span(group)
        return ValueNode("string", _undo(match.group(group)), start, end)

    def read_value(at: int, depth: int) -> tuple[ValueNode | None, int]:
        if at >= len(text) or depth > MAX_DEPTH:
            return None, at
        char = text[at]
        if char == '"':
            match = STRING.match(text, at)
            return (None, at + 1) if match is None else (read_string(match), match.end())
        if char in "{[":
            kind, close = ("object", "}") if char == "{" else ("list", "]")
            children: list[Any] = []
            here = SPACE.match(text, at + 1).end()  # type: ignore[union-attr]
            if text.startswith(close, here):
                return ValueNode(kind, children, at, here + 1), here + 1
            while True:
                key = node = None
                if kind == "object":
                    match = MEMBER.match(text, here)
                    if match is None:
                        return None, here
                    here = match.end()
                    key = _undo(match.group(1))
                    if match.group(2) is not None and depth < MAX_DEPTH:
                        node = read_string(match, 2)
                if node is None:
                    node, here = read_value(here, depth + 1)
                if node is None:
                    return None, here
                children.append(node if key is None else (key, node))
                match = AFTER.match(text, here)
                if match is None:
                    return None, here
                if match.group(1) == close:
                    end = match.end(1)
                    return ValueNode(kind, children, at, end), end
                if match.group(1) != ",":
                    return None, here
                here = match.end()
        match = NAME.match(text, at)
        if match is not None:
            word = NAMES[match.group()]
            return ValueNode("null" if word is None else "boolean", word, at, match.end()), match.end()
        match = NUMBER.match(text, at)
        if match is not None:
            return ValueNode("number", parse_number(match.group()), at, match.end()), match.end()
        return None, at

    node, end = read_value(start, 0)
    return end if node is None else (node, end)


def _undo(inside: str) -> str:
    """The text that the inside of a JSON string stands for."""
    return str(json.loads(f'"{inside}"')) if "\\" in inside else inside


def parse_number(literal: str) -> int | float:
    """The number a JSON literal names; one too long for an int to be read safely is a float.

    A whole number that a float would alter (9007199254740993.0) is an int.
    """
    if len(literal) < 400 and literal.lstrip("-").isdigit():
        return int(literal)
    value = float(literal)
    if math.isfinite(value) and abs(value) >= 2**53:
        exact = Decimal(literal)
        if exact != Decimal(repr(value)) and exact == exact.to_integral_value():
            return int(exact)
    return value


def read_python(text: str, start: int, end: int) -> ValueNode | None:
    """The value between `start` and `end` of the text as a tree, or None when it is not a literal of Python."""
    source = text[start:end]
    if len(source) > MAX_PYTHON_CHARS or "\x00" in source or INVALID_ESCAPE.search(source.replace("\\\\", "")):
        return None
    if max(source.count("["), source.count("{"), source.count("(")) > 90 and is_too_deep(source):
        return None
    try:
        tree = ast.parse(source.rstrip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return _PythonConverter(source, start).convert(tree.body, 0)


def is_too_deep(source: str, limit: int = 90) -> bool:
    """Whether brackets, those in strings included, are nested deeper than the parsers can take."""
    depth = 0
    for match in re.finditer(r"[\[{(]|[\]})]", source):
        depth += 1 if match.group() in "[{(" else -1
        if depth > limit:
            return True
    return False


class _PythonConverter:
    """Turns a syntax tree into nodes; `ast` counts lines from 1 and columns in bytes of UTF-8."""

    def __init__(self, source: str, base: int) -> None:
        self.source = source
        self.base = base
        self.lines = [0, *(match.end() for match in LINE_END.finditer(source))]
        self.ascii = source.isascii()

    def find_offset(self, line: int, column: int) -> int:
        start = self.lines[line - 1]
        if self.ascii:
            return start + column
        stop = self.lines[line] if line < len(self.lines) else len(self.source)
        return start + len(self.source[start:stop].encode("utf-8", "surrogatepass")[:column].decode("utf-8", "ignore"))

    def convert(self, tree: ast.expr, depth: int) -> ValueNode | None:
        if depth > MAX_DEPTH or tree.end_lineno is None or tree.end_col_offset is None:
            return None
        start = self.find_offset(tree.lineno, tree.col_offset)
        end = self.find_offset(tree.end_lineno, tree.end_col_offset)
        kind = "null"
        value: object = None
        if isinstance(tree, ast.Dict):
            pairs = []
            for key, child in zip(tree.keys, tree.values, strict=True):
                made = self.convert(child, depth + 1)
                if made is None or not isinstance(key, ast.Constant) or not isinstance(key.value, str):
                    return None
                pairs.append((key.value, made))
            kind, value = "object", pairs
        elif isinstance(tree, ast.List | ast.Tuple | ast.Set):
            nodes = [self.convert(child, depth + 1) for child in tree.elts]
            if any(node is None for node in nodes):
                return None
            kind, value = "list", nodes
        elif isinstance(tree, ast.Constant) and isinstance(tree.value, str):
            prefix = PREFIX.match(self.source, start)
            if prefix is None:
                return None
            codec = (PLAIN,) if prefix.group(1) in ("r", "R") and prefix.group(1) else (PYTHON,)
            width = len(prefix.group(2))
            flags = ("python_literal",)
            return ValueNode("string", tree.value, self.base + prefix.end(), self.base + end - width, codec, flags)
        elif isinstance(tree, ast.Constant) and isinstance(tree.value, bool):
            kind, value = "boolean", tree.value
        elif isinstance(tree, ast.Constant) and isinstance(tree.value, int | float):
            kind, value = "number", tree.value
        elif isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
            inner = self.convert(tree.operand, depth + 1)
            if inner is None or inner.kind != "number":
                return None
            kind, value = "number", -inner.value
        elif isinstance(tree, ast.Name) and tree.id in NAMES:
            value = NAMES[tree.id]
            kind = "null" if value is None else "boolean"
        elif not (isinstance(tree, ast.Constant) and (tree.value is None or tree.value is ...)):
            return None
        return ValueNode(kind, value, self.base + start, self.base + end)


def read_tolerant(text: str, start: int, end: int) -> ValueNode | None:
    """json-repair's answer to the text between `start` and `end`; a text in it that is nowhere there is null."""
    source = text[start:end]
    if len(source) > MAX_TOLERANT_CHARS or is_too_deep(source, 40) or source.count("{") + source.count("[") > 200:
        return None
    try:
        value = json_repair.loads(source)
    except (RecursionError, ValueError, IndexError, TypeError, AttributeError, KeyError, AssertionError):
        return None
    cursor = [start]

    def node(value: object, depth: int) -> ValueNode:
        if depth > 20:
            return ValueNode("null", None, start, start)
        if isinstance(value, dict):
            pairs = [(str(key), node(child, depth + 1)) for key, child in value.items()]
            return ValueNode("object", pairs, start, end)
        if isinstance(value, list):
            return ValueNode("list", [node(child, depth + 1) for child in value], start, end)
        if isinstance(value, str) and value:
            # As JSON writes it, without \\u escapes and with them, or as it is.
            forms = (json.dumps(value, ensure_ascii=False)[1:-1], json.dumps(value)[1:-1], value)
            for raw, codec in zip(forms, ((JSON,), (JSON,), (PLAIN,)), strict=True):
                at = text.find(raw, cursor[0], end)
                if at >= 0:
                    cursor[0] = at + len(raw)
                    return ValueNode("string", value, at, at + len(raw), codec, ("tolerant",))
        return ValueNode("null", None, start, start)

    return node(value, 0)
