"""Reads one text: finds its records, reads each in the way that fits, and checks every field against the raw.

The strict reading ends the matter where it succeeds with the right shape. Otherwise the schema-anchored, the
Python and, where fields are still missing, the tolerant reading answer; the one that accounts for most of the raw
text wins, and a tie between different texts is refused.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field

from relearn.repair.json import locate, wrapped
from relearn.repair.json import shape as shapes
from relearn.repair.json.anchored import Reader
from relearn.repair.json.literal import read_literal
from relearn.repair.json.schema import Shape
from relearn.repair.json.tolerant import read_tolerant
from relearn.repair.json.tree import Draft, Part, read_strict
from relearn.repair.json.verbatim import delimiters, encodable, holds

TRIES = 4
MAX_COMMENTS = 20_000
STRAY = re.compile(rf"[\s,;:{{}}\[\]()\ufeff]|{locate.FENCE}|[\"'`“”]")
WRAPPER_KEY = re.compile(r"(?:[\"'“][\w][\w \-.]{0,47}[\"'”]|\{\s*[\w][\w\-]{0,47})\s*+:\s*+(?=[\[{\s]|\Z)")
COMMENT = re.compile(locate.COMMENT)
FENCE = re.compile(locate.FENCE)


@dataclass(slots=True)
class Reading:
    """What one text holds: its records in order, and the stretches between them that belong to none."""

    records: list[Draft]
    rest: list[tuple[int, int]] = field(default_factory=list)


def read(text: str, shape: Shape, finish_reason: str | None = None, depth: int = 0) -> Reading:
    """Every record of the text. Offsets are characters of `text`; no exception for any text."""
    whole = _whole(text, shape)
    if whole is not None:
        records = whole
    elif depth < 3 and wrapped.looks_wrapped(text, shape):
        records = _read_wrapped(text, shape, finish_reason, depth)
    else:
        records = _scan(text, shape, finish_reason)
    for draft in records:
        for name, part in draft.parts.items():
            _check(text, name, part, shape)
    return Reading(records, [] if whole is not None else _rest(text, records))


def _read_wrapped(text: str, shape: Shape, finish_reason: str | None, depth: int) -> list[Draft]:
    records: list[Draft] = []
    at = 0
    for inner in wrapped.wrapped(text, shape):
        records += _shifted(_scan(text[at : inner.start], shape, None), at)
        for draft in read(inner.text, shape, finish_reason, depth + 1).records:
            records.append(_mapped(draft, inner))
        at = inner.end
    if at < len(text):
        records += _shifted(_scan(text[at:], shape, finish_reason), at)
    return records


def _shifted(drafts: list[Draft], by: int) -> list[Draft]:
    if by:
        for draft in drafts:
            draft.start += by
            draft.end += by
            for part in draft.parts.values():
                part.start += by
                part.end += by
                if part.items is not None:
                    part.items = tuple((start + by, end + by) for start, end in part.items)
    return drafts


def _mapped(draft: Draft, inner: wrapped.Wrapped) -> Draft:
    offsets: array[int] = inner.offsets
    draft.start, draft.end = offsets[draft.start], offsets[draft.end]
    draft.flags.add("encoded_twice")
    for part in draft.parts.values():
        part.start, part.end = offsets[part.start], offsets[part.end]
        part.codec = (inner.dialect, *part.codec) if part.codec else ()
        if part.items is not None:
            part.items = tuple((offsets[start], offsets[end]) for start, end in part.items)
    return draft


def _scan(text: str, shape: Shape, finish_reason: str | None) -> list[Draft]:
    found = list(locate.anchors(text, shape))
    reader = Reader(text, shape, finish_reason == "length")
    records: list[Draft] = []
    budget = 8 * len(text) + 100_000
    index = at = 0
    while index < len(found):
        anchor = found[index]
        if anchor.start < at:
            index += 1
            continue
        strict, start, spent = _strict(text, shape, at, anchor.start, budget)
        budget -= spent
        if strict:
            records += strict
            at = max(draft.end for draft in strict)
            continue
        draft, following = reader.read_object(found, index, start)
        stop = found[following].start if following < len(found) else len(text)
        others = _others(text, shape, draft, start, stop)
        records += others or [draft]
        at = max(draft.end, *(other.end for other in others)) if others else draft.end
        index = following
    return shapes.merge(records, shape)


def _whole(text: str, shape: Shape) -> list[Draft] | None:
    """The records of a text that is one strict JSON value from end to end; None when it is not."""
    start = len(text) - len(text.lstrip("\ufeff \t\r\n"))
    if start >= len(text) or text[start] not in "{[":
        return None
    result = read_strict(text, start)
    if isinstance(result, int) or text[result[1] :].strip():
        return None
    return shapes.drafts(result[0], shape) or None


def _strict(text: str, shape: Shape, floor: int, anchor: int, budget: int) -> tuple[list[Draft], int, int]:
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
                return shapes.drafts(result[0], shape), start, spent
        before = start
    return [], nearest, spent


def _others(text: str, shape: Shape, draft: Draft, start: int, stop: int) -> list[Draft]:
    """A reading that does better than the anchored one on the stretch from `start` to `stop`, or nothing."""
    last = text.rfind("}", start, stop)
    if last > start and ("'" in text[start:stop] or '"""' in text[start:stop]):
        node = read_literal(text, start, last + 1)
        if node is not None:
            literal = _sound(text, shapes.drafts(node, shape))
            if literal:
                return literal
    if len(draft.parts) == len(shape.fields) and not any(part.lost for part in draft.parts.values()):
        return []
    if last < start:
        return []
    return _better(text, draft, _sound(text, read_tolerant(text, start, stop, shape)))


def _sound(text: str, drafts: list[Draft]) -> list[Draft]:
    """The drafts, if every field stands in the text as it was read; otherwise none of them."""
    for draft in drafts:
        for part in draft.parts.values():
            if (
                part.lost
                or not _verbatim(text, part)
                or delimiters(text, part.start, part.end) != (True, True)
            ):
                return []
    return drafts


def _better(text: str, draft: Draft, others: list[Draft]) -> list[Draft]:
    """The tolerant reading where it keeps all the anchored one kept, with the same text, and more."""
    if len(others) != 1:
        return []
    other = others[0]
    for name, part in draft.parts.items():
        if part.lost:
            return []
        rival = other.parts.get(name)
        if rival is None or (rival.start, rival.end) != (part.start, part.end):
            return []
    return others if len(other.parts) > len(draft.parts) else []


def _verbatim(text: str, part: Part) -> bool:
    if part.items is not None:
        return len(part.items) == len(part.value) and all(
            holds(text, value, start, end, part.codec)
            for value, (start, end) in zip(part.value, part.items, strict=True)
        )
    if isinstance(part.value, str):
        return holds(text, part.value, part.start, part.end, part.codec)
    literal = text[part.start : part.end].strip()
    if isinstance(part.value, bool):
        return literal.lower() == str(part.value).lower()
    try:
        return float(literal.replace("_", "")) == float(part.value)
    except (ValueError, OverflowError):
        return False


def _check(text: str, name: str, part: Part, shape: Shape) -> None:
    """Refuses a field that is not verbatim; says which delimiter is missing."""
    if part.lost:
        return
    if not _verbatim(text, part):
        part.lost = "not_verbatim"
        return
    values = part.value if isinstance(part.value, list) else [part.value]
    if not all(encodable(value) for value in values if isinstance(value, str)):
        part.lost = "half_character"
        return
    if shape.fields[name] == "string":
        before, after = delimiters(text, part.start, part.end)
        if not before:
            part.flags = (*part.flags, "opening_quote_missing")
        if not after:
            part.flags = (*part.flags, "closing_quote_missing")


def _rest(text: str, records: list[Draft]) -> list[tuple[int, int]]:
    """The stretches outside the records that hold a word; flags each record with what stood around it."""
    rest: list[tuple[int, int]] = []
    at = 0
    previous: Draft | None = None
    for draft in [*records, None]:
        stop = draft.start if draft is not None else len(text)
        if stop > at:
            flags, words = outside(text[at:stop])
            for neighbour in (previous, draft):
                if neighbour is not None:
                    neighbour.flags |= flags
            if words is not None:
                rest.append((at + words[0], at + words[1]))
        if draft is not None:
            at = max(at, draft.end)
            previous = draft
    return rest


def outside(gap: str) -> tuple[set[str], tuple[int, int] | None]:
    """What stands between two records: flags, and the span of what is prose or unread, if any."""
    flags: set[str] = set()
    if not gap.strip():
        return flags, None
    plain = gap
    if len(plain) < MAX_COMMENTS and ("//" in plain or "/*" in plain or "#" in plain):
        without = COMMENT.sub(lambda match: " " * len(match.group()), plain)
        if not re.search(r"\w", STRAY.sub("", without)):
            flags.add("comment")
            plain = without
    if "```" in plain or "~~~" in plain:
        flags.add("fence")
        plain = FENCE.sub(lambda match: " " * len(match.group()), plain)
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
