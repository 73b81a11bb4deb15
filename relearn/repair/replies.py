"""The pipeline's end of repair: the teacher's replies become rows of the new tasks, and the rest is quarantined.

A reply is to give as many rows as its task has row templates. Each ends kept or quarantined; a reply refused as a whole
counts for all of them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from relearn.errors import InputError
from relearn.files import dump_line, parse_line
from relearn.finish_reasons import read_ending
from relearn.placeholders import show_value
from relearn.records import Message, NewRow, Quarantined, Reply, Source, Split
from relearn.repair.checks import find_faults, refuse_unknown_names
from relearn.repair.envelopes import read_message
from relearn.repair.json import FoundRecord, RecordSchema, lose_field, read_records
from relearn.repair.ledger import Ledger, SeenTexts, digest
from relearn.repair.rows import ALONE, CHUNK, Refusal, explain_no_record, find_raw
from relearn.repair.templates import RowWriter
from relearn.workers import Workers, chunked

if TYPE_CHECKING:
    from relearn.data.near_duplicates import Index
    from relearn.params.prepare import NearDuplicates
    from relearn.params.repair import TaskRepair


class ReplyTask:
    """What the replies of one task are to hold: their schema, the rows they become, and the checks on these."""

    def __init__(self, name: str, schema: RecordSchema, params: TaskRepair, shown: Collection[str]) -> None:
        """`shown` are the fields of the task's sources. InputError when a row or a check names a field that does not
        exist.
        """
        where = f"repair.{name}"
        self.schema = schema
        self.checks = params.checks
        refuse_unknown_names(params.checks, shown, f"{where}.checks")
        self.rows = [
            RowWriter(row.name, row.instruction, row.response, shown, schema.fields, f"{where}.rows")
            for row in params.rows
        ]
        used = [field for field in schema.fields if any(field in row.needs for row in self.rows)]
        # Fields that meet in a row are taken from one record; without any such row each field is on its own.
        self.groups = [used] if any(len(row.needs) > 1 for row in self.rows) else [[field] for field in used]

    def is_free(self, row: RowWriter) -> bool:
        """Whether the response is free text. A choice, a number or a boolean may be the same for two sources."""
        return self.schema.fields[row.response] in ("string", "strings") and not self.schema.is_choice(row.response)


class ReadRow(NamedTuple):
    """What one row template makes of a reply: the row, or why there is none."""

    name: str
    refusal: Refusal | None
    place: Refusal  # where its text is, should an earlier row repeat it
    key: int = 0
    """The `digest` of what may not come twice."""
    near: str = ""
    """The text that near-duplicates are looked for by; empty where none are."""
    flags: tuple[str, ...] = ()
    line: str = ""


class ReadReply(NamedTuple):
    """What can be told of a reply without the others: why it is refused as a whole, or its rows, and what else it holds."""

    id: str
    task: str
    split: Split | None  # of its source; None where it has none
    refusal: Refusal | None
    rows: Sequence[ReadRow] = ()
    extra: Sequence[Refusal] = ()


class RepairedRow(NamedTuple):
    """A row as a line of JSON: a `NewRow` of a split, or a `Quarantined` one of none."""

    split: Split | None
    line: str


# The lines of a reply and of the source that it is to: lines travel between processes ten times as fast as rows do.
Asked = tuple[bytes, bytes | None]


class ReplyReader:
    """Reads replies, each by itself, with the source that it is to; any process can do it."""

    def __init__(self, tasks: Mapping[str, ReplyTask], truncated: str, duplicates: str, near: bool) -> None:
        self.tasks, self.truncated, self.duplicates, self.near = tasks, truncated, duplicates, near

    def __call__(self, lines: Sequence[Asked]) -> list[ReadReply]:
        return [
            self.read(parse_line(reply, Reply), None if source is None else parse_line(source, Source))
            for reply, source in lines
        ]

    def read(self, reply: Reply, source: Source | None) -> ReadReply:
        """The rows of one reply, and why others are refused."""
        task, content = self.tasks[reply.task], reply.content or ""
        record = FoundRecord(0, len(content))
        extra: list[Refusal] = []
        reason = _refuse_unread(reply, source)
        if reason is None:
            found = read_records(content, task.schema, reply.finish_reason, self.truncated)
            extra = [Refusal(reason, one.start, one.end) for one, reason in found.aside]
            extra += _choose_fields(record, found.records, task.groups)
            if all(field.lost for field in record.fields.values()):
                reason = _explain_loss(found.records, record.fields) or explain_no_record(content, reply.finish_reason)
        if reason is not None or source is None:
            whole = Refusal(reason or "unknown_source", 0, len(content))
            return ReadReply(reply.id, reply.task, source.split if source else None, whole)
        rows = self._read_rows(reply, task, source, record)
        return ReadReply(reply.id, reply.task, source.split, None, rows, extra)

    def _read_rows(self, reply: Reply, task: ReplyTask, source: Source, record: FoundRecord) -> list[ReadRow]:
        """The rows that can be made and learned from; the others are lost to a field that is, or to a fault."""
        lost: dict[str, Refusal] = {}

        def locate(field: str, reason: str) -> Refusal:
            return Refusal(reason, *find_raw(record.fields[field], record), field)

        for row in task.rows:
            missing = next((field for field in row.needs if record.fields[field].lost), None)
            if missing is not None:
                lost[row.name] = locate(missing, record.fields[missing].lost)
        whole = [row for row in task.rows if row.name not in lost]
        texts = {row.name: show_value(record.fields[row.response].value).strip() for row in whole}
        faults = find_faults(task.checks, texts, source.fields)
        for row in whole:
            reason = faults.get(row.name) or ("" if texts[row.name] else "empty")
            if reason:
                lost[row.name] = locate(row.response, reason)
        return [
            ReadRow(row.name, lost[row.name], lost[row.name])
            if row.name in lost
            else self._make_row(reply, task, source, row, record, locate(row.response, "duplicate"))
            for row in task.rows
        ]

    def _make_row(
        self, reply: Reply, task: ReplyTask, source: Source, row: RowWriter, record: FoundRecord, place: Refusal
    ) -> ReadRow:
        flags = {flag for field in row.needs for flag in record.fields[field].flags}
        ending = read_ending(reply.finish_reason)
        flags.update({"cut": {"stopped_at_length"}, "unknown": {"unknown_finish_reason"}}.get(ending, set()))
        instruction, response = _write(row, source, record)
        made = NewRow(
            id=f"{source.id}-{row.name}",
            task=source.task,
            role="new",
            group=source.group,
            split=source.split,
            messages=[Message(role="user", content=instruction), Message(role="assistant", content=response)],
            tests=[],
            source=source.id,
            template=row.name,
            flags=sorted(flags),
        )
        free = task.is_free(row)
        signature = [source.task, row.name, response, *([] if free else [instruction])]
        if self.duplicates == "keep":
            signature.append(source.id)
        near = response if self.near and free else ""
        return ReadRow(row.name, None, place, digest("\n".join(signature)), near, tuple(made.flags), dump_line(made))


class ReplyRepairer:
    """Repairs replies in their order; memory grows by 8 to 32 bytes a row kept, more with `near_duplicates`."""

    def __init__(
        self,
        sources: Mapping[tuple[str, str], bytes],
        tasks: Mapping[str, ReplyTask],
        truncated: str,
        duplicates: str,
        near_duplicates: NearDuplicates | None,
    ) -> None:
        """`sources`: their lines by task and id, `tasks` by name; `duplicates`: equal texts of different sources, keep or
        drop.
        """
        self.sources, self.tasks = sources, tasks
        self.reader = ReplyReader(tasks, truncated, duplicates, near_duplicates is not None)
        self.seen = SeenTexts()
        self.ledger = Ledger(
            {
                "replies": "replies_kept replies_half_kept replies_refused",
                "rows": "rows_kept rows_quarantined",
                "quarantine_rows": "rows_quarantined_alone replies_refused_whole extra_texts",
            }
        )
        self.row = 0
        self.near: dict[str, Index] = {}
        if near_duplicates is not None:
            # Here, because it brings numpy and scipy, which exact duplicates do without.
            from relearn.data.near_duplicates import Index

            self.near = {name: Index(near_duplicates.threshold, near_duplicates.permutations) for name in tasks}

    def repair_all(self, replies: Iterable[tuple[bytes, Reply]]) -> Generator[RepairedRow]:
        """Yields the rows of each reply, and what was quarantined of it; then `ledger` is complete.

        `replies` come with their lines, as `relearn.files.read_jsonl_lines` reads them.

        Many replies are read over processes (`relearn.workers`). InputError for a reply of an unknown task.
        """
        with Workers(self.reader, ALONE) as workers:
            for chunk, found in workers.map(chunked(self._find_sources(replies), CHUNK)):
                for (line, _), read in zip(chunk, found, strict=True):
                    yield from self._settle(line, read)

    def _find_sources(self, replies: Iterable[tuple[bytes, Reply]]) -> Iterator[Asked]:
        for line, reply in replies:
            if reply.task not in self.tasks:
                raise InputError(
                    f"reply {reply.id}: belongs to the task {reply.task}, which repair does not describe; "
                    "run generate again"
                )
            yield line, self.sources.get((reply.task, reply.id))

    def _settle(self, line: bytes, read: ReadReply) -> Iterator[RepairedRow]:
        """The rows of one reply that repeat no earlier one, and what is quarantined of it; counts both."""
        counts, number = self.ledger.counts, len(self.tasks[read.task].rows)
        counts["replies"] += 1
        counts["rows"] += number
        if read.refusal is not None:
            counts["replies_refused"] += 1
            counts["replies_refused_whole"] += 1
            counts["rows_quarantined"] += number
            yield self._refuse(line, read.refusal, None, number)
            return
        lost: list[tuple[str, Refusal]] = []
        for row in read.rows:
            refusal = row.refusal or self._find_repeat(read, row)
            if refusal is None:
                self.ledger.flags.update(row.flags)
                yield RepairedRow(read.split, row.line)
            else:
                lost.append((row.name, refusal))
        for name, refusal in lost:
            yield self._refuse(line, refusal, name)
        for refusal in read.extra:
            yield self._refuse(line, refusal, None)
        kept = number - len(lost)
        counts["rows_kept"] += kept
        counts["rows_quarantined"] += len(lost)
        counts["rows_quarantined_alone"] += len(lost)
        counts["extra_texts"] += len(read.extra)
        counts["replies_kept" if not lost else "replies_half_kept" if kept else "replies_refused"] += 1

    def _find_repeat(self, read: ReadReply, row: ReadRow) -> Refusal | None:
        """Why a row that an earlier one repeats is refused; None for a new one, which is remembered."""
        self.row += 1
        if self.seen.add(row.key, self.row) is not None:
            return row.place
        if row.near:
            index = self.near[read.task]
            neighbours = index.near(row.near)
            if neighbours:
                return row.place._replace(reason=f"near_duplicate of {neighbours[0]}")
            index.add(f"{read.id}-{row.name}", row.near)
        return None

    def _refuse(self, line: bytes, refusal: Refusal, row: str | None, count: int = 1) -> RepairedRow:
        """A row of quarantine, counted `count` times under its reason."""
        self.ledger.refuse(refusal.reason, count)
        reply = parse_line(line, Reply)
        raw = reply.raw or (reply.content or "")[refusal.start : refusal.end] or reply.refusal or ""
        refused = Quarantined(
            id=reply.id, task=reply.task, row=row, field=refusal.field, reason=refusal.reason, content=raw
        )
        return RepairedRow(None, dump_line(refused))


def _write(row: RowWriter, source: Source, record: FoundRecord) -> tuple[str, str]:
    """The instruction and the response."""
    return row.write(source.fields, {field: record.fields[field].value for field in row.needs})


def _refuse_unread(reply: Reply, source: Source | None) -> str | None:
    """Why a reply need not be read."""
    if source is None:
        return "unknown_source"
    if reply.refusal:
        return "refusal"
    ending = read_ending(reply.finish_reason)
    if ending == "failed":
        return "failed_upstream"
    if (reply.content or "").strip():
        return None
    if ending == "refused":
        return "content_filter"
    message = json.loads(reply.raw) if reply.raw else None
    return (read_message(message).failed if isinstance(message, dict) else "") or "empty"


def _choose_fields(chosen: FoundRecord, records: list[FoundRecord], groups: list[list[str]]) -> list[Refusal]:
    """Gives `chosen` the fields of each group from one record, the first of those with most of them whole.

    Returns what the other records hold, repeats of the chosen fields left out.
    """
    extra = []
    for group in groups:
        holding = [record for record in records if any(record.fields[name].lost != "missing" for name in group)]
        best = max(
            holding,
            key=lambda record: sum(not record.fields[name].lost for name in group),
            default=FoundRecord(0, 0, {name: lose_field("missing") for name in group}),
        )
        for name in group:
            field, flags = best.fields[name], set(best.flags)
            others = [record.fields[name] for record in holding if record is not best]
            others = [other for other in others if other.lost != "missing"]
            different = [other for other in others if other.lost or other.value != field.value]
            if len(different) < len(others):
                flags.add("repeated")
            if different:
                flags.add("several_texts")
            field.flags = (*field.flags, *flags)
            chosen.fields[name] = field
            extra += [Refusal("extra_text", *find_raw(other, chosen), name) for other in different]
    return extra


def _explain_loss(records: list[FoundRecord], names: Collection[str]) -> str | None:
    """Why all of the named fields were lost, most telling first; None where there was none of them."""
    lost = {record.fields[name].lost for record in records for name in names} - {"missing", ""}
    telling = ("ambiguous_end", "not_verbatim", "cut_off", "wrong_type", "null", "no_quotes")
    return next((reason for reason in (*telling, *sorted(lost)) if reason in lost), None)
