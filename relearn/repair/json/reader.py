"""Reads one text: finds its records, reads each in the way that fits, checks every field against the raw.

The strict reading ends the matter where it succeeds with the right shape. Otherwise the schema-anchored, the
Python and, where fields are still missing, the tolerant reading answer; the one that accounts for most of the raw
text wins, and a tie between different texts is refused.
"""

from __future__ import annotations

import dataclasses
import math
import re
from array import array
from dataclasses import dataclass

from relearn.finish_reasons import read_ending
from relearn.reasoning import find_answers, find_superseded
from relearn.repair.json.anchored import AnchoredReader
from relearn.repair.json.anchors import COMMENT, FENCE, find_anchors
from relearn.repair.json.cuts import keep_cut_text, mark_hidden_cut
from relearn.repair.json.encoded import EncodedFinder, EncodedText, looks_encoded
from relearn.repair.json.records import FoundField, FoundRecord, find_records, lose_field, merge_single_fields
from relearn.repair.json.schema import RecordSchema
from relearn.repair.json.values import read_python, read_strict, read_tolerant
from relearn.repair.json.verbatim import decode, find_delimiters, is_encodable, is_slice
from relearn.repair.json.widths import make_ascii

TRIES = 4
MAX_COMMENTS = 20_000
STRAY = re.compile(rf"[\s,;:{{}}\[\]()\ufeff]|{FENCE}|[\"'`“”]")
WRAPPER_KEY = re.compile(r"(?:[\"'“][\w][\w \-.]{0,47}[\"'”]|\{\s*[\w][\w\-]{0,47})\s*+:\s*+(?=[\[{\s]|\Z)")
A_COMMENT = re.compile(COMMENT)
A_FENCE = re.compile(FENCE)


@dataclass(slots=True)
class RecordsInText:
    """What one text holds: its records in order, and the stretches between them that belong to none."""

    records: list[FoundRecord]
    rest: list[tuple[int, int]]
    aside: list[tuple[FoundRecord, str]] = dataclasses.field(default_factory=list)
    """Records that are not kept, and why: the text withdraws them for one that follows (`superseded`), or they are half a
    record inside another (`nested`)."""
    reasoning: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    """The stretches of `rest` that are reasoning; where the text is one reply, none."""


def read_records(
    text: str, schema: RecordSchema, finish_reason: str | None = None, truncated: str = "drop", one_reply: bool = True
) -> RecordsInText:
    """Every record of the text, each field whole or `lost` (`missing`: asked for, and nowhere). No text makes it raise.

    Offsets are characters of `text`. `finish_reason` is what the server said (`length` or another word for it: stopped
    at its token limit); `truncated` is the policy for a text that the reply ends inside: drop, trim or keep. Of one
    reply only what follows its reasoning is read; of a text of many, everything outside reasoning.
    """
    # What broke off or was withheld ends anywhere, like what the limit cut.
    if read_ending(finish_reason) in ("cut", "failed", "refused"):
        finish_reason = "length"
    found = _read(text, schema, finish_reason, one_reply)
    if len(found.records) > 1:
        _set_aside(text, found, schema)
    if finish_reason is not None or not schema.optional:
        mark_hidden_cut(text, found.records, finish_reason)
    if truncated != "drop":
        keep_cut_text(text, found.records, truncated)
    if not schema.optional:
        for record in found.records:
            for name in schema.fields:
                if name not in record.fields:
                    record.fields[name] = lose_field("missing")
    return found


def _set_aside(text: str, found: RecordsInText, schema: RecordSchema) -> None:
    """Takes the records that are not to be kept from `records` to `aside`."""
    records, found.records = found.records, []
    taken_back = set(find_superseded(text, [(one.start, one.end) for one in records if not one.inside]))
    has_final = not all("draft" in record.flags for record in records)
    needed = schema.required or schema.fields.keys()
    outer = -1
    for record in records:
        outer += not record.inside
        if outer in taken_back or (has_final and "draft" in record.flags):
            found.aside.append((record, "superseded"))
        elif record.inside and any(name not in record.fields or record.fields[name].lost for name in needed):
            found.aside.append((record, "nested"))
        else:
            found.records.append(record)


def has_only_reasoning(text: str) -> bool:
    """Whether a reply is a model's reasoning, and no answer follows it."""
    answers = find_answers(text, last_only=True)
    return answers is not None and not any(text[start:end].strip() for start, end in answers)


def holds_a_key(text: str, schema: RecordSchema) -> bool:
    """Whether a key of a field is in a text, as it is or inside a string."""
    return next(find_anchors(text, schema), None) is not None or looks_encoded(text, schema)


def _read(
    text: str, schema: RecordSchema, finish_reason: str | None, one_reply: bool = True, depth: int = 0
) -> RecordsInText:
    whole = _read_whole(text, schema)
    if whole is not None:
        _check_fields(text, whole, schema)
        return RecordsInText(whole, [])
    answers = find_answers(text, one_reply)
    if answers is None:
        records = _read_unmarked(text, schema, finish_reason, depth)
        _check_fields(text, records, schema)
        return RecordsInText(records, _find_rest(text, records))
    found = RecordsInText([], [])
    at = 0
    for start, end in answers:
        inner = text[start:end]
        records = _read_whole(inner, schema) or _read_unmarked(inner, schema, finish_reason, depth)
        _check_fields(inner, records, schema)
        rest = _find_rest(inner, records)
        for record in _shift(records, start):
            record.flags.add("reasoning")
            found.records.append(record)
        if not one_reply and text[at:start].strip():
            found.rest.append((at, start))
            found.reasoning.append((at, start))
        found.rest += [(start + first, start + last) for first, last in rest]
        at = end
    if not one_reply and text[at:].strip():
        found.rest.append((at, len(text)))
        found.reasoning.append((at, len(text)))
    return found


def _read_unmarked(text: str, schema: RecordSchema, finish_reason: str | None, depth: int) -> list[FoundRecord]:
    # Values are checked against the text as it is: where a change reached into one, it is refused.
    plain = make_ascii(text)
    if plain is not text and (whole := _read_whole(plain, schema)) is not None:
        return whole
    text = plain
    if depth < 3 and looks_encoded(text, schema):
        return _read_encoded(text, schema, finish_reason, depth)
    return _scan(text, schema, finish_reason)


def _check_fields(text: str, records: list[FoundRecord], schema: RecordSchema) -> None:
    for record in records:
        for name, field in record.fields.items():
            _check_field(text, name, field, schema)


def _read_encoded(text: str, schema: RecordSchema, finish_reason: str | None, depth: int) -> list[FoundRecord]:
    records: list[FoundRecord] = []
    at = 0
    for inner in EncodedFinder(text, schema).find():
        records += _shift(_scan(text[at : inner.start], schema, None), at)
        for record in _read(inner.text, schema, finish_reason, depth=depth + 1).records:
            records.append(_map_back(record, inner))
        at = inner.end
    if at < len(text):
        records += _shift(_scan(text[at:], schema, finish_reason), at)
    return records


def _shift(records: list[FoundRecord], by: int) -> list[FoundRecord]:
    if by:
        for record in records:
            record.start += by
            record.end += by
            for field in record.fields.values():
                field.start += by
                field.end += by
                if field.items is not None:
                    field.items = tuple((start + by, end + by) for start, end in field.items)
    return records


def _map_back(record: FoundRecord, inner: EncodedText) -> FoundRecord:
    offsets: array[int] = inner.offsets
    record.start, record.end = offsets[record.start], offsets[record.end]
    record.flags.add("encoded_twice")
    for field in record.fields.values():
        field.start, field.end = offsets[field.start], offsets[field.end]
        field.codec = (inner.dialect, *field.codec) if field.codec else ()
        if field.items is not None:
            field.items = tuple((offsets[start], offsets[end]) for start, end in field.items)
    return record


def _scan(text: str, schema: RecordSchema, finish_reason: str | None) -> list[FoundRecord]:
    found = list(find_anchors(text, schema))
    records: list[FoundRecord] = []
    budget = 8 * len(text) + 100_000
    index = at = 0
    while index < len(found):
        anchor = found[index]
        if anchor.start < at:
            index += 1
            continue
        strict, start, spent = _read_strict_around(text, schema, at, anchor.start, budget)
        budget -= spent
        if strict:
            records += strict
            at = max(record.end for record in strict)
            continue
        reader = AnchoredReader(text, schema, finish_reason == "length")
        record, following = reader.read_object(found, index, start)
        stop = found[following].start if following < len(found) else len(text)
        others = _read_otherwise(text, schema, record, start, stop)
        records += others or [record]
        at = max(record.end, *(other.end for other in others)) if others else record.end
        index = following
    return merge_single_fields(records, schema)


def _read_whole(text: str, schema: RecordSchema) -> list[FoundRecord] | None:
    """The records of a text that is one strict JSON value from end to end; None when it is not."""
    start = len(text) - len(text.lstrip("\ufeff \t\r\n"))
    if start >= len(text) or text[start] not in "{[":
        return None
    result = read_strict(text, start)
    if isinstance(result, int) or text[result[1] :].strip():
        return None
    return find_records(result[0], schema) or None


def _read_strict_around(
    text: str, schema: RecordSchema, floor: int, anchor: int, budget: int
) -> tuple[list[FoundRecord], int, int]:
    """The records of the strict object around a key: (records, where the object starts, characters spent)."""
    spent = 0
    nearest = before = anchor
    for turn in range(TRIES):
        start = text.rfind("{", floor, before)
        if start < 0 or spent > budget:
            break
        if turn == 0:
            nearest = start
        result = read_strict(text, start)
        if isinstance(result, int):
            spent += result - start
        else:
            spent += result[1] - start
            if result[1] > anchor:
                return find_records(result[0], schema), start, spent
        before = start
    return [], nearest, spent


def _read_otherwise(text: str, schema: RecordSchema, record: FoundRecord, start: int, stop: int) -> list[FoundRecord]:
    """A reading that does better than the anchored one on the stretch from `start` to `stop`, or nothing."""
    last = text.rfind("}", start, stop)
    if last > start and ("'" in text[start:stop] or '"""' in text[start:stop]):
        node = read_python(text, start, last + 1)
        if node is not None:
            literal = _keep_if_sound(text, find_records(node, schema))
            if literal:
                return literal
    if len(record.fields) == len(schema.fields) and not any(field.lost for field in record.fields.values()):
        return []
    if last < start:
        return []
    node = read_tolerant(text, start, stop)
    return _choose_fuller(record, _keep_if_sound(text, find_records(node, schema))) if node is not None else []


def _keep_if_sound(text: str, records: list[FoundRecord]) -> list[FoundRecord]:
    """The records, if every field is in the text as it was read; otherwise none of them."""
    for record in records:
        if record.inside:
            continue  # `_check_fields` looks at it; it says nothing of the one around it
        for field in record.fields.values():
            if (
                field.lost
                or not _is_verbatim(text, field)
                or find_delimiters(text, field.start, field.end) != (True, True)
            ):
                return []
    return records


def _choose_fuller(record: FoundRecord, others: list[FoundRecord]) -> list[FoundRecord]:
    """The tolerant reading where it keeps all the anchored one kept, with the same text, and more."""
    others = [one for one in others if not one.inside]  # those are read by their own keys, which have places
    if len(others) != 1:
        return []
    other = others[0]
    for name, field in record.fields.items():
        if field.lost:
            return []
        rival = other.fields.get(name)
        if rival is None or (rival.start, rival.end) != (field.start, field.end):
            return []
    return others if len(other.fields) > len(record.fields) else []


def _is_verbatim(text: str, field: FoundField) -> bool:
    if field.items is not None and isinstance(field.value, str):
        return field.value == "".join(decode(text[start:end], field.codec) for start, end in field.items)
    if field.items is not None:
        return len(field.items) == len(field.value) and all(
            is_slice(text, value, start, end, field.codec)
            for value, (start, end) in zip(field.value, field.items, strict=True)
        )
    if isinstance(field.value, str):
        return is_slice(text, field.value, field.start, field.end, field.codec)
    literal = text[field.start : field.end].strip()
    if isinstance(field.value, bool):
        return literal.lower() == str(field.value).lower()
    literal = literal.replace("_", "")
    try:
        if literal.lstrip("-").isdigit():
            return bool(int(literal) == field.value)
        return float(literal) == float(field.value)
    except (ValueError, OverflowError):
        return False


def _check_field(text: str, name: str, field: FoundField, schema: RecordSchema) -> None:
    """Refuses a field that is not verbatim or not as the schema says; says which delimiter is missing."""
    if field.lost:
        return
    if isinstance(field.value, float) and not _is_kept_by_a_float(text[field.start : field.end], field.value):
        field.lost = "out_of_range"
        return
    if not _is_verbatim(text, field):
        field.lost = "not_verbatim"
        return
    value = "".join(field.value) if isinstance(field.value, list) else field.value
    if isinstance(value, str) and not (value.isascii() or is_encodable(value)):
        field.lost = "half_character"
        return
    for constraint in schema.constraints.get(name, ()):
        if not constraint.is_met(field.value):
            field.lost = constraint.reason
            return
    if schema.fields[name] == "integer" and isinstance(field.value, float) and abs(field.value) < 2**53:
        field.value = int(field.value)
    if schema.fields[name] == "string":
        before, after = find_delimiters(text, field.start, field.end)
        if not before:
            field.flags = (*field.flags, "opening_quote_missing")
        if not after:
            field.flags = (*field.flags, "closing_quote_missing")


def _is_kept_by_a_float(literal: str, value: float) -> bool:
    """Whether a float holds the number: not 1e999, nor 1e-999, nor what is not a number at all."""
    if not math.isfinite(value):
        return False
    return value != 0 or not re.search(r"[1-9]", re.split("[eE]", literal)[0])


def _find_rest(text: str, records: list[FoundRecord]) -> list[tuple[int, int]]:
    """The stretches outside the records that hold a word; flags each record with what was around it."""
    rest: list[tuple[int, int]] = []
    at = 0
    previous: FoundRecord | None = None
    for record in [*(one for one in records if not one.inside), None]:
        stop = record.start if record is not None else len(text)
        if stop > at:
            flags, words = _describe_gap(text[at:stop])
            for neighbour in (previous, record):
                if neighbour is not None:
                    neighbour.flags |= flags
            if words is not None:
                rest.append((at + words[0], at + words[1]))
        if record is not None:
            at = max(at, record.end)
            previous = record
    return rest


def _describe_gap(gap: str) -> tuple[set[str], tuple[int, int] | None]:
    """What is between two records: flags, and the span of what is prose or unread, if any."""
    flags: set[str] = set()
    if not gap.strip():
        return flags, None
    plain = gap
    if len(plain) < MAX_COMMENTS and ("//" in plain or "/*" in plain or "#" in plain):
        without = A_COMMENT.sub(lambda match: " " * len(match.group()), plain)
        if not re.search(r"\w", STRAY.sub("", without)):
            flags.add("comment")
            plain = without
    if "```" in plain or "~~~" in plain:
        flags.add("fence")
        plain = A_FENCE.sub(lambda match: " " * len(match.group()), plain)
    if ":" in plain:
        without = WRAPPER_KEY.sub(lambda match: " " * len(match.group()), plain)
        if without != plain and not re.search(r"\w", without):
            flags.add("nested")
            plain = without
    if "[" in plain or "]" in plain:
        flags.add("list")
    words = re.search(r"\w", plain)
    if words is None:
        return flags, None
    flags.add("prose")
    stripped = plain.rstrip()
    return flags, (len(plain) - len(plain.lstrip()), len(stripped))
