"""From the records that were read in a dump to rows: kept, or quarantined with a reason, and the ledger of both.

The pipeline's own end of repair is `relearn.repair.replies`.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from relearn.files import dump_line
from relearn.finish_reasons import read_ending
from relearn.repair import checks
from relearn.repair.dump import DumpText
from relearn.repair.envelopes import find_id
from relearn.repair.json import FoundField, FoundRecord, RecordSchema, has_only_reasoning, read_records
from relearn.repair.ledger import Ledger, SeenTexts, digest
from relearn.workers import Workers, chunked

DumpRow = dict[str, Any]


# Texts that a process reads at once, and how many are read here before others are started: that takes about as long as
# reading so many (three seconds).
CHUNK = 500
ALONE = 10_000


class Refusal(NamedTuple):
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


class RefusedRow(NamedTuple):
    """A row of quarantine, as a line; `outside`: of a piece beside the records, not of a record or a whole text."""

    reason: str
    line: str
    outside: bool = False


class ReadRecord(NamedTuple):
    """What can be told of a record without those of earlier texts.

    It has so many `fields`; it is `refused` as a whole, or makes the row `line` with some fields `lost`, unless an earlier
    one repeats it: that is told by the `digest` of all its fields (`key`), and of each (`keys`).
    """

    start: int
    end: int
    fields: int
    refused: RefusedRow | None = None
    lost: Sequence[RefusedRow] = ()
    line: str = ""
    flags: tuple[str, ...] = ()
    key: int = 0
    keys: Sequence[int] = ()
    known: Sequence[bool] | None = None
    """Of a record without all its fields: which are in a whole record of the same text."""


class ReadText(NamedTuple):
    """How a text counts, and what it holds, in the order of the rows out."""

    counts_as: str
    pieces: Sequence[RefusedRow | ReadRecord] = ()


class DumpReader:
    """Reads texts, each by itself; any process can do it."""

    def __init__(self, schema: RecordSchema, truncated: str, duplicates: str) -> None:
        self.schema, self.truncated, self.duplicates = schema, truncated, duplicates

    def __call__(self, texts: Sequence[DumpText]) -> list[ReadText]:
        return [self.read(text) for text in texts]

    def read(self, text: DumpText) -> ReadText:
        """The records, fields and stray pieces of one text."""
        ending = read_ending(text.finish_reason) if text.finish_reason else "done"
        if not text.failed and ending == "failed" and text.text.strip():
            text.failed, text.detail = "failed_upstream", f"finish reason {text.finish_reason}"
        if text.failed:
            return ReadText("texts_without_record", [_refuse(text, Refusal(text.failed, 0, len(text.text)))])
        found = read_records(text.text, self.schema, text.finish_reason, self.truncated, text.is_reply)
        pieces: list[RefusedRow | ReadRecord] = [
            _refuse(text, Refusal(reason, record.start, record.end), outside=True) for record, reason in found.aside
        ]
        if not found.records:
            if not text.is_reply and not found.rest:
                return ReadText("texts_blank", pieces)
            reason = explain_no_record(text.text, text.finish_reason)
            if text.is_broken and reason != "empty":
                reason = "broken_line"
            return ReadText("texts_without_record", [*pieces, _refuse(text, Refusal(reason, 0, len(text.text)))])
        # A half record that repeats a field of a whole record of the text is a repeat.
        whole = {
            _sign({name: field.value})
            for record in found.records
            if len(found.records) > 1
            and len(record.fields) == len(self.schema.fields)
            and not any(field.lost for field in record.fields.values())
            for name, field in record.fields.items()
        }
        pieces += [self._read_record(text, record, whole) for record in found.records]
        # Prose around a whole record is a reply's politeness; in a dump, or around half a record, it may be lost text.
        tidy = text.is_reply and all(record.fields for record in found.records)
        for start, end in found.rest:
            piece = text.text[start:end]
            unread = "{" in piece or '":' in piece or "':" in piece
            if (start, end) in found.reasoning:
                pieces.append(_refuse(text, Refusal("reasoning", start, end), outside=True))
            elif unread or not tidy:
                pieces.append(_refuse(text, Refusal("unread" if unread else "prose", start, end), outside=True))
        return ReadText("texts_with_record", pieces)

    def _read_record(self, text: DumpText, record: FoundRecord, whole: set[str]) -> ReadRecord:
        fields, start, end = record.fields, record.start, max(record.end, record.start)
        kept = {name: fields[name] for name in self.schema.fields if name in fields and not fields[name].lost}
        reason = self._find_loss(record, kept)
        if reason is not None:
            return ReadRecord(start, end, len(fields), _refuse(text, Refusal(reason, start, end)))
        lost = [
            _refuse(text, Refusal(field.lost, *find_raw(field, record), name))
            for name, field in fields.items()
            if field.lost
        ]
        values = {name: field.value for name, field in kept.items()}
        owner = self._name_owner(text, record)
        single = [_sign({name: value}) for name, value in values.items()]
        row = self._make_row(text, record, kept)
        return ReadRecord(
            start,
            end,
            len(fields),
            lost=lost,
            line=dump_line(row),
            flags=tuple(row["flags"]),
            key=digest(owner + _sign(values)),
            keys=[digest(owner + one) for one in single],
            known=[one in whole for one in single] if len(kept) < len(self.schema.fields) else None,
        )

    def _find_loss(self, record: FoundRecord, kept: dict[str, FoundField]) -> str | None:
        """Why a record is refused as a whole for what it lacks."""
        if not kept:
            lost = (field.lost for field in record.fields.values() if field.lost != "missing")
            return next(lost, "missing")
        missing = self.schema.required - kept.keys()
        if not missing:
            return None
        losses = [record.fields[name].lost for name in sorted(missing) if name in record.fields]
        return next((loss for loss in losses if loss != "missing"), "required_missing")

    def _name_owner(self, text: DumpText, record: FoundRecord) -> str:
        """Whose the record is: only records of one owner can repeat each other."""
        identity = find_id(record.extra) if text.id is None else text.id
        if self.duplicates == "drop":
            return ""
        file = f"file {text.file!r} " if text.file is not None else ""
        if identity is not None:
            return f"{file}{identity!r} "
        return f"{file}line {text.line} " if text.is_reply else file

    def _make_row(self, text: DumpText, record: FoundRecord, kept: dict[str, FoundField]) -> DumpRow:
        flags = record.flags.union(*(field.flags for field in kept.values()))
        flags.update(text.flags)
        if text.is_broken:
            flags.add("broken_line")
        if text.finish_reason is not None and read_ending(text.finish_reason) == "unknown":
            flags.add("unknown_finish_reason")
        if len(kept) < len(self.schema.fields):
            flags.add("partial")
        identity = find_id(record.extra) if text.id is None else text.id
        offsets = {name: _make_offsets(field, text.base) for name, field in kept.items()}
        return {
            "fields": {name: field.value for name, field in kept.items()},
            "flags": sorted(flags),
            "source": {**_make_source(text, identity), "offsets": offsets},
        }


class DumpRepairer:
    """The command's end: each record of each text becomes one row with the fields kept and their offsets.

    Reads under one schema and policy, and counts what is kept and what is refused; `ledger` checks the sums.
    """

    def __init__(self, schema: RecordSchema, truncated: str = "drop", duplicates: str = "keep") -> None:
        """`duplicates`: rows of equal content with different ids (of replies without one: lines) are kept, or dropped."""
        self.reader = DumpReader(schema, truncated, duplicates)
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

    def repair_all(self, texts: Iterable[DumpText]) -> Generator[tuple[bool, str]]:
        """Yields (kept, the row as a line of JSON) for each record, field and stray piece of the texts, in order.

        Many texts are read over processes (`relearn.workers`).
        """
        with Workers(self.reader, ALONE) as workers:
            for chunk, found in workers.map(chunked(texts, CHUNK)):
                for text, read in zip(chunk, found, strict=True):
                    yield from self._settle(text, read)

    def repair(self, text: DumpText) -> Iterator[tuple[bool, DumpRow]]:
        """Yields (kept, row) for each record, field and stray piece of one text."""
        for kept, line in self._settle(text, self.reader.read(text)):
            yield kept, json.loads(line)

    def _settle(self, text: DumpText, read: ReadText) -> Iterator[tuple[bool, str]]:
        """The rows of one text, of which those that an earlier row repeats are refused; counts them."""
        counts = self.ledger.counts
        counts["texts"] += 1
        counts[read.counts_as] += 1
        for piece in read.pieces:
            if isinstance(piece, ReadRecord):
                yield from self._settle_record(text, piece)
            else:
                counts["pieces_outside"] += piece.outside
                self.ledger.refuse(piece.reason)
                yield False, piece.line

    def _settle_record(self, text: DumpText, record: ReadRecord) -> Iterator[tuple[bool, str]]:
        counts, refused = self.ledger.counts, record.refused
        if refused is None:
            repeats, earlier = self._find_repeat(record)
            if repeats:
                refused = _refuse(text, Refusal("duplicate", record.start, record.end), repeated=earlier)
        lost = record.fields if refused else len(record.lost)
        counts["records"] += 1
        counts["records_quarantined" if refused else "records_kept"] += 1
        counts["fields"] += record.fields
        counts["fields_quarantined"] += lost
        counts["fields_kept"] += record.fields - lost
        if refused:
            self.ledger.refuse(refused.reason)
            yield False, refused.line
            return
        counts["fields_quarantined_alone"] += lost
        self.ledger.flags.update(record.flags)
        yield True, record.line
        for one in record.lost:
            self.ledger.refuse(one.reason)
            yield False, one.line

    def _find_repeat(self, record: ReadRecord) -> tuple[bool, int | None]:
        """Whether an earlier row holds the same, and which row out; a new one is remembered."""
        if record.known is not None:
            rows = [self.seen.find(key) for key in record.keys]
            if all(known or row is not None for known, row in zip(record.known, rows, strict=True)):
                return True, next((row for row in rows if row is not None), None)
        earlier = self.seen.add(record.key, self.row + 1)
        if earlier is not None:
            return True, earlier
        self.row += 1
        if len(record.keys) > 1:
            for key in record.keys:
                self.seen.add(key, self.row)
        return False, None


def _refuse(text: DumpText, refusal: Refusal, outside: bool = False, repeated: int | None = None) -> RefusedRow:
    """The row of quarantine; `repeated` is the row out that holds the same."""
    start, end = refusal.start, refusal.end
    row: DumpRow = {
        "field": refusal.field,
        "reason": refusal.reason,
        "content": text.raw or text.text[start:end],
        "source": {**_make_source(text, text.id), "start": start + text.base, "end": end + text.base},
    }
    if text.detail:
        row["detail"] = text.detail
    if repeated is not None:
        row["row"] = repeated
    return RefusedRow(refusal.reason, dump_line(row), outside)


def _sign(fields: dict[str, Any]) -> str:
    """A text that no other values have, fields in the schema's order; several times as fast to make as JSON."""
    return "".join(
        [
            f"{name}\0{len(value)}\0{value}" if isinstance(value, str) else f"{name}\1{value!r}\0"
            for name, value in fields.items()
        ]
    )


def _make_source(text: DumpText, identity: str | int | None) -> DumpRow:
    named = (("file", text.file), ("id", identity), ("line", text.line))
    return {name: value for name, value in named if value is not None}


def _make_offsets(field: FoundField, base: int) -> DumpRow:
    row: DumpRow = {"start": field.start + base, "end": field.end + base}
    if field.items is not None:
        row["items"] = [{"start": start + base, "end": end + base} for start, end in field.items]
    return row
