"""The tolerant reading: json-repair's answer, kept only where its text is found in the reply.

json-repair (https://github.com/mangiucugna/json_repair) guesses, and is quadratic or worse on some input; size
and depth are bounded before it is asked. Its answers have no offsets: each text is looked up in the raw.
"""

from __future__ import annotations

import json

import json_repair

from relearn.repair.json.literal import too_deep
from relearn.repair.json.schema import Shape
from relearn.repair.json.shape import drafts
from relearn.repair.json.tree import Draft, Node
from relearn.repair.json.verbatim import JSON, PLAIN, Codec

MAX_CHARS = 8_000


def read_tolerant(text: str, start: int, end: int, shape: Shape) -> list[Draft]:
    """Records of json-repair's answer whose texts stand in the raw between `start` and `end`."""
    source = text[start:end]
    if len(source) > MAX_CHARS or too_deep(source, 40) or source.count("{") + source.count("[") > 200:
        return []
    try:
        value = json_repair.loads(source)
    except (RecursionError, ValueError, IndexError, TypeError, AttributeError, KeyError):
        return []
    cursor = [start]

    def node(value: object, depth: int) -> Node:
        if depth > 20:
            return Node("null", None, start, start)
        if isinstance(value, dict):
            pairs = [(str(key), node(child, depth + 1)) for key, child in value.items()]
            return Node("object", pairs, start, end)
        if isinstance(value, list):
            return Node("list", [node(child, depth + 1) for child in value], start, end)
        if isinstance(value, str) and value:
            for raw, codec in _forms(value):
                at = text.find(raw, cursor[0], end)
                if at >= 0:
                    cursor[0] = at + len(raw)
                    return Node("string", value, at, at + len(raw), codec, ("tolerant",))
        return Node("null", None, start, start)

    return drafts(node(value, 0), shape)


def _forms(value: str) -> list[tuple[str, Codec]]:
    """How a text may stand in the raw: as JSON writes it, with or without \\u escapes, or as it is."""
    return [
        (json.dumps(value, ensure_ascii=False)[1:-1], (JSON,)),
        (json.dumps(value)[1:-1], (JSON,)),
        (value, (PLAIN,)),
    ]
