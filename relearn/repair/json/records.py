"""From a value that was read to records: renamed, re-cased or nested keys, lists, two records fused into one.

Nothing is joined or converted: a field is one string (number, boolean, list of strings) that is in the text.
Whatever does not fit is left out here and ends in quarantine.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from relearn.repair.json.schema import RecordSchema
from relearn.repair.json.values import ValueNode
from relearn.repair.json.verbatim import JSON, Codec

TEXT_KEYS = frozenset("text response reply content value answer argument statement comment message".split())
ID_KEYS = frozenset("id custom_id review_id key uuid index request_id row_id row_idx".split())
STANCE_KEYS = frozenset("stance type label kind position side role name key field".split())
DRAFT_KEYS = frozenset(
    "draft drafts first_draft initial_draft thinking thought thoughts reasoning analysis scratchpad chain_of_thought".split()
)
MAX_DEPTH = 12


@dataclass(slots=True)
class FoundField:
    """A field as a reading found it: its value and where it is in the text read.

    `items` are the spans of the elements of a list, or of the pieces of a text that was written in several. `lost` is
    empty for a whole field; otherwise why it is not kept: `cut_off` when the text ends inside it, `ambiguous_end`, ...
    """

    value: Any
    start: int
    end: int
    codec: Codec = (JSON,)
    flags: tuple[str, ...] = ()
    items: tuple[tuple[int, int], ...] | None = None
    lost: str = ""


@dataclass(slots=True)
class FoundRecord:
    """A record as a reading found it, from `start` to `end` of the text read; `inside`: in a value of the one before."""

    start: int
    end: int
    fields: dict[str, FoundField] = dataclasses.field(default_factory=dict)
    flags: set[str] = dataclasses.field(default_factory=set)
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)
    inside: bool = False


def lose_field(reason: str, start: int = 0, end: int = 0, codec: Codec = (), flags: tuple[str, ...] = ()) -> FoundField:
    """A field that cannot be kept, with the stretch of text where it was looked for (empty: nowhere)."""
    return FoundField(None, start, end, codec, flags, None, reason)


def read_field(node: ValueNode, kind: str, depth: int = 0) -> FoundField | None:
    """The node as a field of the kind asked for, unwrapped where one value is inside another; None if not."""
    if kind == "string":
        if node.kind == "string":
            return FoundField(node.value, node.start, node.end, node.codec, node.flags)
        if depth < 3 and node.kind == "object":
            texts = [(key, child) for key, child in node.value if child.kind in ("string", "object", "list")]
            named = [child for key, child in texts if key.strip().casefold() in TEXT_KEYS]
            chosen = named if len(named) == 1 else [child for _, child in texts]
            if len(chosen) == 1:
                return _add_flag(read_field(chosen[0], kind, depth + 1), "nested")
        if depth < 3 and node.kind == "list" and len(node.value) == 1:
            return _add_flag(read_field(node.value[0], kind, depth + 1), "list")
        return None
    if kind == "strings":
        if node.kind == "list" and all(child.kind == "string" for child in node.value):
            return FoundField(
                [child.value for child in node.value],
                node.start + 1,
                node.end - 1,
                node.codec,
                node.flags,
                tuple((child.start, child.end) for child in node.value),
            )
        return None
    if kind == "boolean":
        return FoundField(node.value, node.start, node.end, (), node.flags) if node.kind == "boolean" else None
    if node.kind == "number" and (
        kind == "number" or isinstance(node.value, int) or not math.isfinite(node.value) or node.value.is_integer()
    ):
        return FoundField(node.value, node.start, node.end, (), node.flags)
    return None


def _add_flag(field: FoundField | None, flag: str) -> FoundField | None:
    if field is not None and flag not in field.flags:
        field.flags = (*field.flags, flag)
    return field


def find_records(root: ValueNode, schema: RecordSchema) -> list[FoundRecord]:
    """Every record in the value, in the order of the text; empty when there is none."""
    return merge_single_fields(list(_walk(root, schema, frozenset(), 0, {})), schema)


def _walk(
    node: ValueNode,
    schema: RecordSchema,
    flags: frozenset[str],
    depth: int,
    above: dict[str, Any],
    inside: bool = False,
) -> Iterator[FoundRecord]:
    """The records in a node; `above` are the ids of the objects around it, which are theirs too, and `inside` says that
    one of these is a record.
    """
    if depth > MAX_DEPTH:
        return
    if node.kind == "list":
        for child in node.value:
            if child.kind in ("object", "list"):
                yield from _walk(child, schema, flags, depth + 1, above, inside)
        return
    if node.kind != "object":
        return
    matched = [(key, child, schema.keys.match(key)) for key, child in node.value]
    if any(match is not None for _, _, match in matched):
        records = list(_read_object(node, matched, schema, flags))
    else:
        records = _read_by_stance(node, schema, flags)
    for record in records:
        record.extra, record.inside = {**above, **record.extra}, inside
        yield record
    ids = {key: child.value for key, child in node.value if key in ID_KEYS and child.kind in ("string", "number")}
    for key, child, match in matched:
        if match is None and child.kind in ("object", "list"):
            draft = {"draft"} if key.strip().casefold() in DRAFT_KEYS else set()
            flags_inside = flags | {"nested"} | draft
            yield from _walk(child, schema, flags_inside, depth + 1, {**above, **ids}, inside or bool(records))


def _read_object(
    node: ValueNode,
    matched: list[tuple[str, ValueNode, tuple[str, str | None] | None]],
    schema: RecordSchema,
    flags: frozenset[str],
) -> Iterator[FoundRecord]:
    """The records of one object: one, or several when its keys come round again."""
    record = FoundRecord(node.start, node.end, flags=set(flags))
    fused = False
    exact = {key for key, _, match in matched if match is not None and match[1] is None}
    for key, child, match in matched:
        if match is None or (match[1] is not None and match[0] in exact):
            if child.kind in ("string", "number", "boolean"):
                record.extra.setdefault(key, child.value)
            continue
        name, flag = match
        field = read_field(child, schema.fields[name])
        if field is None:
            lost = "null" if child.kind == "null" else "wrong_type"
            field = lose_field(lost, child.start, child.end)
        if flag is not None:
            field.flags = (*field.flags, flag)
        if name in record.fields:
            fused = True
            record.flags.add("fused")
            yield record
            record = FoundRecord(node.start, node.end, flags=set(flags) | {"fused"})
        record.fields[name] = field
    if fused:
        record.flags.add("fused")
    yield record


def _read_by_stance(node: ValueNode, schema: RecordSchema, flags: frozenset[str]) -> list[FoundRecord]:
    """`{"name": "question", "text": "..."}`: an object that names the field in a value."""
    if not 2 <= len(node.value) <= 4:
        return []
    names = [
        schema.keys.match(child.value)
        for key, child in node.value
        if child.kind == "string" and key.strip().casefold() in STANCE_KEYS and len(child.value) <= 40
    ]
    texts = [child for key, child in node.value if child.kind == "string" and key.strip().casefold() in TEXT_KEYS]
    if len(names) != 1 or names[0] is None or len(texts) != 1 or schema.fields[names[0][0]] != "string":
        return []
    field = read_field(texts[0], "string")
    assert field is not None
    field.flags = (*field.flags, "key_in_value")
    return [FoundRecord(node.start, node.end, {names[0][0]: field}, set(flags))]


def _may_be_one(first: FoundRecord, second: FoundRecord) -> bool:
    """Whether two halves of a record say nothing of being of two: rows of different ids are two, and so are a record and
    one inside it.
    """
    if first.inside != second.inside or second.start < first.end:
        return False
    return all(first.extra[key] == second.extra[key] for key in first.extra.keys() & second.extra.keys() & ID_KEYS)


def merge_single_fields(found: list[FoundRecord], schema: RecordSchema) -> list[FoundRecord]:
    """Joins neighbouring objects that hold one field each (`[{"question": ...}, {"answer": ...}]`) into records."""
    if len(found) < 2 or len(schema.fields) < 2:
        return found
    merged: list[FoundRecord] = []
    open_ = False
    for record in found:
        single = len(record.fields) == 1
        if single and open_ and not merged[-1].fields.keys() & record.fields.keys() and _may_be_one(merged[-1], record):
            last = merged[-1]
            last.fields.update(record.fields)
            last.flags |= record.flags | {"one_key_objects"}
            last.end = max(last.end, record.end)
        else:
            merged.append(record)
            open_ = single
        if len(merged[-1].fields) == len(schema.fields):
            open_ = False
    return merged
