"""From a value that was read to records: renamed, re-cased or nested keys, lists, two records fused into one.

Nothing is joined or converted: a field is one string (number, boolean, list of strings) that stands in the text.
Whatever does not fit is left out here and ends in quarantine.
"""

from __future__ import annotations

from collections.abc import Iterator

from relearn.repair.json.schema import Shape
from relearn.repair.json.tree import Draft, Node, Part

TEXT_KEYS = (
    "text",
    "response",
    "reply",
    "content",
    "value",
    "answer",
    "argument",
    "statement",
    "comment",
    "message",
)
STANCE_KEYS = frozenset(
    ("stance", "type", "label", "kind", "position", "side", "role", "name", "key", "field")
)
MAX_DEPTH = 12


def part_of(node: Node, kind: str, depth: int = 0) -> Part | None:
    """The node as a field of the kind asked for, unwrapped where one value stands inside another; None if not."""
    if kind == "string":
        if node.kind == "string":
            return Part(node.value, node.start, node.end, node.codec, node.flags)
        if depth < 3 and node.kind == "object":
            texts = [(key, child) for key, child in node.value if child.kind in ("string", "object", "list")]
            named = [child for key, child in texts if key.strip().casefold() in TEXT_KEYS]
            chosen = (
                named if len(named) == 1 else [child for _, child in texts] if len(node.value) == 1 else []
            )
            if len(chosen) == 1:
                return _flagged(part_of(chosen[0], kind, depth + 1), "nested")
        if depth < 3 and node.kind == "list" and len(node.value) == 1:
            return _flagged(part_of(node.value[0], kind, depth + 1), "list")
        return None
    if kind == "strings":
        if node.kind == "list" and all(child.kind == "string" for child in node.value):
            return Part(
                [child.value for child in node.value],
                node.start + 1,
                node.end - 1,
                node.codec,
                node.flags,
                tuple((child.start, child.end) for child in node.value),
            )
        return None
    if kind == "boolean":
        return Part(node.value, node.start, node.end, (), node.flags) if node.kind == "boolean" else None
    if node.kind == "number" and (kind == "number" or isinstance(node.value, int) or node.value.is_integer()):
        return Part(node.value, node.start, node.end, (), node.flags)
    return None


def _flagged(part: Part | None, flag: str) -> Part | None:
    if part is not None and flag not in part.flags:
        part.flags = (*part.flags, flag)
    return part


def drafts(root: Node, shape: Shape) -> list[Draft]:
    """Every record that stands in the value, in the order of the text; empty when there is none."""
    return merge(list(_walk(root, shape, frozenset(), 0)), shape)


def _walk(node: Node, shape: Shape, flags: frozenset[str], depth: int) -> Iterator[Draft]:
    if depth > MAX_DEPTH:
        return
    if node.kind == "list":
        for child in node.value:
            if child.kind in ("object", "list"):
                yield from _walk(child, shape, flags, depth + 1)
        return
    if node.kind != "object":
        return
    matched = [(key, child, shape.keys.match(key)) for key, child in node.value]
    if any(match is not None for _, _, match in matched):
        yield from _records(node, matched, shape, flags)
        return
    stance = _by_stance(node, shape)
    if stance is not None:
        stance.flags |= flags
        yield stance
        return
    for _, child in node.value:
        if child.kind in ("object", "list"):
            yield from _walk(child, shape, flags | {"nested"}, depth + 1)


def _records(
    node: Node,
    matched: list[tuple[str, Node, tuple[str, str | None] | None]],
    shape: Shape,
    flags: frozenset[str],
) -> Iterator[Draft]:
    """The records of one object: one, or several when its keys come round again."""
    draft = Draft(node.start, node.end, flags=set(flags))
    fused = False
    exact = {key for key, _, match in matched if match is not None and match[1] is None}
    for key, child, match in matched:
        if match is None or (match[1] is not None and match[0] in exact):
            if child.kind in ("string", "number", "boolean"):
                draft.extra.setdefault(key, child.value)
            continue
        name, flag = match
        part = part_of(child, shape.fields[name])
        if part is None:
            lost = "null" if child.kind == "null" else "wrong_type"
            part = Part(None, child.start, child.end, (), (), None, lost)
        if flag is not None:
            part.flags = (*part.flags, flag)
        if name in draft.parts:
            fused = True
            draft.flags.add("fused")
            yield draft
            draft = Draft(node.start, node.end, flags=set(flags) | {"fused"})
        draft.parts[name] = part
    if fused:
        draft.flags.add("fused")
    yield draft


def _by_stance(node: Node, shape: Shape) -> Draft | None:
    """`{"stance": "agree", "text": "..."}`: an object that names the field in a value."""
    if not 2 <= len(node.value) <= 4:
        return None
    names = [
        shape.keys.match(child.value)
        for key, child in node.value
        if child.kind == "string" and key.strip().casefold() in STANCE_KEYS and len(child.value) <= 40
    ]
    texts = [
        child for key, child in node.value if child.kind == "string" and key.strip().casefold() in TEXT_KEYS
    ]
    if len(names) != 1 or names[0] is None or len(texts) != 1 or shape.fields[names[0][0]] != "string":
        return None
    part = part_of(texts[0], "string")
    assert part is not None
    part.flags = (*part.flags, "key_in_value")
    return Draft(node.start, node.end, {names[0][0]: part})


def merge(found: list[Draft], shape: Shape) -> list[Draft]:
    """Joins neighbouring objects that hold one field each (`[{"agree": ...}, {"disagree": ...}]`) into records."""
    if len(shape.fields) < 2 or not any(len(draft.parts) == 1 for draft in found):
        return found
    merged: list[Draft] = []
    open_ = False
    for draft in found:
        single = len(draft.parts) == 1
        if single and open_ and not merged[-1].parts.keys() & draft.parts.keys():
            last = merged[-1]
            last.parts.update(draft.parts)
            last.flags |= draft.flags | {"one_key_objects"}
            last.end = max(last.end, draft.end)
        else:
            merged.append(draft)
            open_ = single
        if len(merged[-1].parts) == len(shape.fields):
            open_ = False
    return merged
