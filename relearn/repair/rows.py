"""Rows of the command: what was read becomes rows out and rows of quarantine, with the ledger kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from relearn.repair import checks, truncation
from relearn.repair.dump import Text
from relearn.repair.json.document import outside, read
from relearn.repair.json.schema import Shape
from relearn.repair.json.tree import Draft, Part
from relearn.repair.ledger import Ledger, Seen

Row = dict[str, Any]


class Rows:
    """Reads texts one after the other. `optional` fields may be missing without a word (a JSON Schema says so)."""

    def __init__(self, shape: Shape, truncated: str = "drop", optional: bool = False) -> None:
        self.shape = shape
        self.truncated = truncated
        self.optional = optional
        self.seen = Seen()
        self.row = 0
        self.ledger = Ledger()
        self.ledger.must_add_up("records", "records_kept", "records_quarantined")
        self.ledger.must_add_up("fields", "fields_kept", "fields_quarantined")
        self.ledger.must_add_up(
            "quarantine_rows",
            "records_quarantined",
            "fields_quarantined_alone",
            "texts_without_record",
            "pieces_outside",
        )
        self.ledger.must_add_up("texts", "texts_with_record", "texts_without_record", "texts_blank")

    def take(self, text: Text) -> Iterator[tuple[bool, Row]]:
        """Yields (kept, row) for each record, field and stray piece of one text."""
        counts = self.ledger.counts
        counts["texts"] += 1
        reading = read(text.text, self.shape, text.finish_reason)
        if text.finish_reason is not None or not self.optional:
            truncation.hidden(text.text, reading.records, text.finish_reason)
        for draft in reading.records:
            truncation.settle(text.text, draft, self.truncated)
        if not reading.records and not text.reply and not outside(text.text)[1]:
            counts["texts_blank"] += 1
            return
        if not reading.records:
            counts["texts_without_record"] += 1
            yield False, self._refuse(text, None, _no_record(text), 0, len(text.text))
            return
        counts["texts_with_record"] += 1
        whole = self._whole_texts(reading.records)
        for draft in reading.records:
            yield from self._record(text, draft, whole)
        if not text.reply or any(not draft.parts for draft in reading.records):
            for start, end in reading.rest:
                counts["pieces_outside"] += 1
                reason = "unread" if _looks_like_record(text.text[start:end]) else "prose"
                yield False, self._refuse(text, None, reason, start, end)
        else:
            for start, end in reading.rest:
                if _looks_like_record(text.text[start:end]):
                    counts["pieces_outside"] += 1
                    yield False, self._refuse(text, None, "unread", start, end)

    def _whole_texts(self, records: list[Draft]) -> set[str]:
        """Fields of the whole records of a text: a half record that repeats one of them is a repeat."""
        if len(records) < 2:
            return set()
        return {
            _signature({name: part.value})
            for draft in records
            if len(draft.parts) == len(self.shape.fields)
            and not any(part.lost for part in draft.parts.values())
            for name, part in draft.parts.items()
        }

    def _record(self, text: Text, draft: Draft, whole: set[str]) -> Iterator[tuple[bool, Row]]:
        counts = self.ledger.counts
        counts["records"] += 1
        if not self.optional:
            for name in self.shape.fields:
                draft.parts.setdefault(name, Part(None, 0, 0, (), (), None, "missing"))
        counts["fields"] += len(draft.parts)
        kept = {
            name: draft.parts[name]
            for name in self.shape.fields
            if name in draft.parts and not draft.parts[name].lost
        }
        reason, neighbour = self._verdict(draft, kept, whole)
        if reason is not None:
            counts["records_quarantined"] += 1
            counts["fields_quarantined"] += len(draft.parts)
            row = self._refuse(text, None, reason, draft.start, max(draft.end, draft.start))
            if neighbour is not None:
                row["row"] = neighbour
            yield False, row
            return
        counts["records_kept"] += 1
        counts["fields_kept"] += len(kept)
        flags = set(draft.flags)
        for part in kept.values():
            flags.update(part.flags)
        if text.broken:
            flags.add("broken_line")
        if len(kept) < len(self.shape.fields):
            flags.add("partial")
        self.ledger.flag(flags)
        yield (
            True,
            {
                "fields": {name: part.value for name, part in kept.items()},
                "flags": sorted(flags),
                "source": {
                    **_origin(text, draft),
                    "offsets": {name: _offsets(part, text.base) for name, part in kept.items()},
                },
            },
        )
        for name, part in draft.parts.items():
            if part.lost:
                counts["fields_quarantined"] += 1
                counts["fields_quarantined_alone"] += 1
                start, end = (part.start, part.end) if part.end > part.start else (draft.start, draft.end)
                yield False, self._refuse(text, name, part.lost, start, end)

    def _verdict(self, draft: Draft, kept: dict[str, Part], whole: set[str]) -> tuple[str | None, int | None]:
        """Why a record is refused as a whole, and the row out that holds the same."""
        if not kept:
            return next(
                (part.lost for part in draft.parts.values() if part.lost != "missing"), "missing"
            ), None
        missing = self.shape.required - kept.keys()
        if missing:
            losses = [draft.parts[name].lost for name in sorted(missing) if name in draft.parts]
            return next((loss for loss in losses if loss != "missing"), "required_missing"), None
        fields = {name: part.value for name, part in kept.items()}
        if len(kept) < len(self.shape.fields):
            single = [_signature({name: value}) for name, value in fields.items()]
            rows = [self.seen.find(one) for one in single]
            if all(one in whole or row is not None for one, row in zip(single, rows, strict=True)):
                return "duplicate", next((row for row in rows if row is not None), None)
        earlier = self.seen.add(_signature(fields), self.row + 1)
        if earlier is not None:
            return "duplicate", earlier
        self.row += 1
        if len(fields) > 1:
            for name, value in fields.items():
                self.seen.add(_signature({name: value}), self.row)
        return None, None

    def _refuse(self, text: Text, name: str | None, reason: str, start: int, end: int) -> Row:
        self.ledger.counts["quarantine_rows"] += 1
        self.ledger.refuse(reason)
        return {
            "field": name,
            "reason": reason,
            "content": text.text[start:end],
            "source": {**_origin(text, None), "start": start + text.base, "end": end + text.base},
        }


def _signature(fields: dict[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True)


def _origin(text: Text, draft: Draft | None) -> Row:
    origin: Row = {}
    identity = text.id
    if identity is None and draft is not None and isinstance(draft.extra.get("id"), str | int):
        identity = draft.extra["id"]
    if identity is not None:
        origin["id"] = identity
    if text.line is not None:
        origin["line"] = text.line
    return origin


def _offsets(part: Part, base: int) -> Row:
    row: Row = {"start": part.start + base, "end": part.end + base}
    if part.items is not None:
        row["items"] = [{"start": start + base, "end": end + base} for start, end in part.items]
    return row


def _no_record(text: Text) -> str:
    if not text.text.strip():
        return "empty"
    if text.broken:
        return "broken_line"
    if checks.refuses(text.text.strip()):
        return "refusal"
    return "cut_off" if text.finish_reason == "length" else "no_record"


def _looks_like_record(piece: str) -> bool:
    return "{" in piece or '":' in piece or "':" in piece
