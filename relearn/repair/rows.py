"""From the records that were read in a dump to rows: kept, or quarantined with a reason, and the ledger of both.

The pipeline's own end of repair is `relearn.repair.replies`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from relearn.finish_reasons import read_ending
from relearn.repair import checks
from relearn.repair.dump import DumpText
from relearn.repair.envelopes import find_id
from relearn.repair.json import FoundField, FoundRecord, RecordSchema, has_only_reasoning, read_records
from relearn.repair.ledger import Ledger, SeenTexts

DumpRow = dict[str, Any]


@dataclass(slots=True)
class Refusal:
    """What cannot be used (a field, or a whole record or text: `field` is None), why, and where its raw text is."""

    reason: str
    start: int
    end: int
    field: str | None = None


def explain_no_record(content: str, finish_reason: str | None) -> str:
    """Why a text holds no record."""
    stripped = content.strip()
    if not stripped:
        return "content_filter" if read_ending(finish_reason) == "refused" else "empty"
    if checks.is_refusal(stripped):
        return "refusal"
    if has_only_reasoning(content):
        return "only_reasoning"
    return "cut_off" if read_ending(finish_reason) == "cut" else "no_record"


def find_raw(field: FoundField, record: FoundRecord) -> tuple[int, int]:
    """Where the raw text of a lost field is: all of the record's where the field is nowhere."""
    return (field.start, field.end) if field.end > field.start else (record.start, record.end)


class DumpRepairer:
    """The command's end: each record of each text becomes one row with the fields kept and their offsets.

    Reads under one schema and policy, and counts what is kept and what is refused; `ledger` checks the sums.
    """

    def __init__(self, schema: RecordSchema, truncated: str = "drop", duplicates: str = "keep") -> None:
        """`duplicates`: rows of equal content with different ids (of replies without one: lines) are kept, or dropped."""
        self.schema = schema
        self.truncated, self.duplicates = truncated, duplicates
        self.seen = SeenTexts()
        self.ledger = Ledger(
            {
                "records": "records_kept records_quarantined",
                "fields": "fields_kept fields_quarantined",
                "quarantine_rows": "records_quarantined fields_quarantined_alone texts_without_record pieces_outside",
                "texts": "texts_with_record texts_without_record texts_blank",
            }
        )
        self.row = 0

    def repair(self, text: DumpText) -> Iterator[tuple[bool, DumpRow]]:
        """Yields (kept, row) for each record, field and stray piece of one text."""
        counts = self.ledger.counts
        counts["texts"] += 1
        ending = read_ending(text.finish_reason) if text.finish_reason else "done"
        if not text.failed and ending == "failed" and text.text.strip():
            text.failed, text.detail = "failed_upstream", f"finish reason {text.finish_reason}"
        if text.failed:
            counts["texts_without_record"] += 1
            yield False, self._make_refused_row(text, Refusal(text.failed, 0, len(text.text)))
            return
        found = read_records(text.text, self.schema, text.finish_reason, self.truncated, text.is_reply)
        for record in found.superseded:
            counts["pieces_outside"] += 1
            yield False, self._make_refused_row(text, Refusal("superseded", record.start, record.end))
        if not found.records:
            if not text.is_reply and not found.rest:
                counts["texts_blank"] += 1
                return
            counts["texts_without_record"] += 1
            reason = explain_no_record(text.text, text.finish_reason)
            if text.is_broken and reason != "empty":
                reason = "broken_line"
            yield False, self._make_refused_row(text, Refusal(reason, 0, len(text.text)))
            return
        counts["texts_with_record"] += 1
        # A half record that repeats a field of a whole record of the text is a repeat.
        whole = {
            _sign({name: field.value})
            for record in found.records
            if len(found.records) > 1
            and len(record.fields) == len(self.schema.fields)
            and not any(field.lost for field in record.fields.values())
            for name, field in record.fields.items()
        }
        for record in found.records:
            yield from self._repair_record(text, record, whole)
        # Prose around a whole record is a reply's politeness; in a dump, or around half a record, it may be lost text.
        tidy = text.is_reply and all(record.fields for record in found.records)
        for start, end in found.rest:
            piece = text.text[start:end]
            unread = "{" in piece or '":' in piece or "':" in piece
            if (start, end) in found.reasoning:
                counts["pieces_outside"] += 1
                yield False, self._make_refused_row(text, Refusal("reasoning", start, end))
                continue
            if unread or not tidy:
                counts["pieces_outside"] += 1
                yield (False, self._make_refused_row(text, Refusal("unread" if unread else "prose", start, end)))

    def _repair_record(self, text: DumpText, record: FoundRecord, whole: set[str]) -> Iterator[tuple[bool, DumpRow]]:
        fields = record.fields
        kept = {name: fields[name] for name in self.schema.fields if name in fields and not fields[name].lost}
        reason, neighbour = self._judge_record(text, record, kept, whole)
        refused = None
        if reason is not None:
            refused = Refusal(reason, record.start, max(record.end, record.start))
        refusals = self._count_fields(record, refused)
        self.ledger.counts["records"] += 1
        self.ledger.counts["records_quarantined" if refused else "records_kept"] += 1
        if refused is None:
            yield True, self._make_kept_row(text, record, kept)
        for refusal in refusals:
            row = self._make_refused_row(text, refusal)
            if neighbour is not None:
                row["row"] = neighbour
            yield False, row

    def _count_fields(self, record: FoundRecord, refused: Refusal | None) -> list[Refusal]:
        """The refusals of a record: that of the whole, where there is one, or of each field that is lost."""
        refusals = [
            Refusal(field.lost, *find_raw(field, record), name) for name, field in record.fields.items() if field.lost
        ]
        counts = self.ledger.counts
        quarantined = len(record.fields if refused else refusals)
        counts["fields"] += len(record.fields)
        counts["fields_quarantined"] += quarantined
        counts["fields_kept"] += len(record.fields) - quarantined
        if refused:
            return [refused]
        counts["fields_quarantined_alone"] += quarantined
        return refusals

    def _judge_record(
        self, text: DumpText, record: FoundRecord, kept: dict[str, FoundField], whole: set[str]
    ) -> tuple[str | None, int | None]:
        """Why a record is refused as a whole, and the row out that holds the same."""
        if not kept:
            lost = (field.lost for field in record.fields.values() if field.lost != "missing")
            return next(lost, "missing"), None
        missing = self.schema.required - kept.keys()
        if missing:
            losses = [record.fields[name].lost for name in sorted(missing) if name in record.fields]
            return next((loss for loss in losses if loss != "missing"), "required_missing"), None
        fields = {name: field.value for name, field in kept.items()}
        owner = self._name_owner(text, record)
        single = [_sign({name: value}) for name, value in fields.items()]
        if len(kept) < len(self.schema.fields):
            rows = [self.seen.find(owner + one) for one in single]
            if all(one in whole or row is not None for one, row in zip(single, rows, strict=True)):
                return "duplicate", next((row for row in rows if row is not None), None)
        earlier = self.seen.add(owner + _sign(fields), self.row + 1)
        if earlier is not None:
            return "duplicate", earlier
        self.row += 1
        if len(fields) > 1:
            for one in single:
                self.seen.add(owner + one, self.row)
        return None, None

    def _name_owner(self, text: DumpText, record: FoundRecord) -> str:
        """Whose the record is: only records of one owner can repeat each other."""
        identity = find_id(record.extra) if text.id is None else text.id
        if self.duplicates == "drop":
            return ""
        if identity is not None:
            return f"{identity!r} "
        return f"line {text.line} " if text.is_reply else ""

    def _make_kept_row(self, text: DumpText, record: FoundRecord, kept: dict[str, FoundField]) -> DumpRow:
        flags = record.flags.union(*(field.flags for field in kept.values()))
        flags.update(text.flags)
        if text.is_broken:
            flags.add("broken_line")
        if text.finish_reason is not None and read_ending(text.finish_reason) == "unknown":
            flags.add("unknown_finish_reason")
        if len(kept) < len(self.schema.fields):
            flags.add("partial")
        self.ledger.flags.update(flags)
        identity = find_id(record.extra) if text.id is None else text.id
        offsets = {name: _make_offsets(field, text.base) for name, field in kept.items()}
        return {
            "fields": {name: field.value for name, field in kept.items()},
            "flags": sorted(flags),
            "source": {**_make_source(identity, text.line), "offsets": offsets},
        }

    def _make_refused_row(self, text: DumpText, refusal: Refusal) -> DumpRow:
        self.ledger.refuse(refusal.reason)
        start, end = refusal.start, refusal.end
        row = {
            "field": refusal.field,
            "reason": refusal.reason,
            "content": text.raw or text.text[start:end],
            "source": {**_make_source(text.id, text.line), "start": start + text.base, "end": end + text.base},
        }
        if text.detail:
            row["detail"] = text.detail
        return row


def _sign(fields: dict[str, Any]) -> str:
    """A text that no other values have, fields in the schema's order; several times as fast to make as JSON."""
    return "".join(
        [
            f"{name}\0{len(value)}\0{value}" if isinstance(value, str) else f"{name}\1{value!r}\0"
            for name, value in fields.items()
        ]
    )


def _make_source(identity: str | int | None, line: int | None) -> DumpRow:
    return {name: value for name, value in (("id", identity), ("line", line)) if value is not None}


def _make_offsets(field: FoundField, base: int) -> DumpRow:
    row: DumpRow = {"start": field.start + base, "end": field.end + base}
    if field.items is not None:
        row["items"] = [{"start": start + base, "end": end + base} for start, end in field.items]
    return row
