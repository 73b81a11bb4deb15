"""The Python reading: a dict or list as `repr` or a person writes it, read by `ast`, with offsets.

Strings carry the offsets of their inside; raw strings and triple quotes are understood; strings that are joined
by standing side by side, or hold escapes `verbatim` does not undo, fail its check later and are refused.
"""

from __future__ import annotations

import ast
import re

from relearn.repair.json.tree import MAX_DEPTH, Node
from relearn.repair.json.verbatim import PLAIN, PYTHON

MAX_CHARS = 100_000
PREFIX = re.compile(r"([rRuU]?)(\"\"\"|'''|\"|')")
INVALID_ESCAPE = re.compile(r"\\[^\\'\"abfnrtv0-7xuUN\r\n]")
LINE_END = re.compile(r"\r\n|\r|\n")
NAMES = {"true": True, "false": False, "null": None}


def read_literal(text: str, start: int, end: int) -> Node | None:
    """The value between `start` and `end` of the text as a tree, or None when it is no literal of Python."""
    source = text[start:end]
    if len(source) > MAX_CHARS or "\x00" in source or INVALID_ESCAPE.search(source.replace("\\\\", "")):
        return None
    if max(source.count("["), source.count("{"), source.count("(")) > 90 and too_deep(source):
        return None
    try:
        tree = ast.parse(source.rstrip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return _Maker(source, start).node(tree.body, 0)


def too_deep(source: str, limit: int = 90) -> bool:
    """Whether brackets, those in strings included, are nested deeper than the parsers can bear."""
    depth = 0
    for match in re.finditer(r"[\[{(]|[\]})]", source):
        depth += 1 if match.group() in "[{(" else -1
        if depth > limit:
            return True
    return False


class _Maker:
    """Turns a syntax tree into nodes; `ast` counts lines from 1 and columns in bytes of UTF-8."""

    def __init__(self, source: str, base: int) -> None:
        self.source = source
        self.base = base
        self.lines = [0, *(match.end() for match in LINE_END.finditer(source))]
        self.ascii = source.isascii()

    def offset(self, line: int, column: int) -> int:
        start = self.lines[line - 1]
        if self.ascii:
            return start + column
        stop = self.lines[line] if line < len(self.lines) else len(self.source)
        return start + len(
            self.source[start:stop].encode("utf-8", "surrogatepass")[:column].decode("utf-8", "ignore")
        )

    def node(self, tree: ast.expr, depth: int) -> Node | None:
        if depth > MAX_DEPTH or tree.end_lineno is None or tree.end_col_offset is None:
            return None
        start = self.offset(tree.lineno, tree.col_offset)
        end = self.offset(tree.end_lineno, tree.end_col_offset)
        kind = "null"
        value: object = None
        if isinstance(tree, ast.Dict):
            pairs = []
            for key, child in zip(tree.keys, tree.values, strict=True):
                made = self.node(child, depth + 1)
                if made is None or not isinstance(key, ast.Constant) or not isinstance(key.value, str):
                    return None
                pairs.append((key.value, made))
            kind, value = "object", pairs
        elif isinstance(tree, ast.List | ast.Tuple | ast.Set):
            nodes = [self.node(child, depth + 1) for child in tree.elts]
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
            return Node("string", tree.value, self.base + prefix.end(), self.base + end - width, codec, flags)
        elif isinstance(tree, ast.Constant) and isinstance(tree.value, bool):
            kind, value = "boolean", tree.value
        elif isinstance(tree, ast.Constant) and isinstance(tree.value, int | float):
            kind, value = "number", tree.value
        elif isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
            inner = self.node(tree.operand, depth + 1)
            if inner is None or inner.kind != "number":
                return None
            kind, value = "number", -inner.value
        elif isinstance(tree, ast.Name) and tree.id in NAMES:
            value = NAMES[tree.id]
            kind = "null" if value is None else "boolean"
        elif not (isinstance(tree, ast.Constant) and (tree.value is None or tree.value is ...)):
            return None
        return Node(kind, value, self.base + start, self.base + end)
