"""The pipeline's end of repair: the teacher's replies become rows of the new tasks, and the rest is quarantined.

A reply is to give as many rows as its task has row templates. Each ends kept or quarantined; a reply refused as a whole
counts for all of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from relearn.errors import InputError
from relearn.files import dump_line
from relearn.finish_reasons import read_ending
from relearn.placeholders import show_value
from relearn.records import Quarantined, Reply, Source, Split
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
        # The rows whose response is free text. A choice, a number or a boolean may be the same for two sources.
        self.free = {
            row.name
            for row in self.rows
            if schema.fields[row.response] in ("string", "strings") and not schema.is_choice(row.response)
        }
        # Fields that meet in a row are taken from one record; without any such row each field is on its own.
        self.groups = [used] if any(len(row.needs) > 1 for row in self.rows) else [[field] for field in used]


class ReadRow(NamedTuple):
    """What one row template makes of a reply: the row, or the `reason` why there is none; and where the text is."""

    name: str
    reason: str
    start: int
    end: int
    field: str
    key: int = 0
    """The `digest` of what may not come twice."""
    near: str = ""
    """The text that near-duplicates are looked for by; empty where none are."""
    flags: tuple[str, ...] = ()
    line: str = ""


class ReadReply(NamedTuple):
    """What can be told of a reply without the others: why it is refused as a whole, or its rows, and what else it holds."""

    refusal: Refusal | None
    extra: tuple[Refusal, ...] = ()
    rows: Sequence[ReadRow] = ()


class RepairedRow(NamedTuple):
    """A row as a line of JSON: a `NewRow` of a split, or a `Quarantined` one of none."""

    split: Split | None
    line: str


ENDING_FLAGS = {"cut": ("stopped_at_length",), "unknown": ("unknown_finish_reason",)}


class SentReply(NamedTuple):
    """What is read of a `Reply`, and of the `Source` that it is to, which has the same id and task."""

    id: str
    task: str
    content: str | None
    finish_reason: str | None
    refusal: str | None
    raw: str | None
    group: str = ""
    split: Split | None = None
    """None where there is no source."""
    shown: Mapping[str, str] = {}
    """The source's fields."""


# Flat, plain tuples travel between processes in a third of the time that named ones take, and give the garbage
# collector little to follow; models take longer still.
Packed = tuple[Any, ...]
_pack_reply = attrgetter("id", "task", "content", "finish_reason", "refusal", "raw")
_pack_source = attrgetter("group", "split", "fields")


def _pack(reply: Reply, source: Source | None) -> Packed:
    packed: Packed = _pack_reply(reply)
    return packed if source is None else packed + _pack_source(source)


def _flatten(read: ReadReply) -> Packed:
    return (read.refusal, read.extra, *chain.from_iterable(read.rows))


def _unpack(packed: Packed) -> ReadReply:
    refusal, extra, *values = packed
    size = len(ReadRow._fields)
    return ReadReply(refusal, extra, [ReadRow(*values[start : start + size]) for start in range(0, len(values), size)])


def pair_with_sources(
    replies: Iterable[Reply], sources: Iterable[Source], tasks: Collection[str]
) -> Iterator[tuple[Reply, Source | None]]:
    """Each reply with the source that it is to, which has no other; None where there is none.

    Sources are read as far as they are needed, and those without a reply so far are held: none where the replies are in
    their order, as generate writes them. InputError for a reply of another task than `tasks`.
    """
    sources = iter(sources)
    held: dict[tuple[str, str], Source] = {}
    for reply in replies:
        if reply.task not in tasks:
            raise InputError(
                f"reply {reply.id}: belongs to the task {reply.task}, which repair does not describe; "
                "run generate again"
            )
        key = reply.task, reply.id
        while key not in held and (source := next(sources, None)) is not None:
            held[source.task, source.id] = source
        yield reply, held.pop(key, None)


class ReplyReader:
    """Reads replies, each by itself, with the source that it is to; any process can do it."""

    def __init__(self, tasks: Mapping[str, ReplyTask], truncated: str, duplicates: str, near: bool) -> None:
        self.tasks, self.truncated, self.duplicates, self.near = tasks, truncated, duplicates, near

    def __call__(self, replies: Sequence[Packed]) -> list[Packed]:
        found = (self.read(SentReply(*reply)) for reply in replies)
        return [_flatten(read) for read in found]

    def read(self, reply: SentReply) -> ReadReply:
        """The rows of one reply, and why others are refused."""
        task, content = self.tasks[reply.task], reply.content or ""
        record = FoundRecord(0, len(content))
        extra: list[Refusal] = []
        reason = _refuse_unread(reply)
        if reason is None:
            found = read_records(content, task.schema, reply.finish_reason, self.truncated)
            extra = [Refusal(reason, one.start, one.end) for one, reason in found.aside]
            extra += _choose_fields(record, found.records, task.groups)
            if all(field.lost for field in record.fields.values()):
                reason = _explain_loss(found.records, record.fields) or explain_no_record(content, reply.finish_reason)
        if reason is not None:
            return ReadReply(Refusal(reason, 0, len(content)))
        return ReadReply(None, tuple(extra), self._read_rows(reply, task, record))

    def _read_rows(self, reply: SentReply, task: ReplyTask, record: FoundRecord) -> list[ReadRow]:
        """The rows that can be made and learned from; the others are lost to a field that is, or to a fault."""
        fields = record.fields
        lost = {row.name: next((name for name in row.needs if fields[name].lost), None) for row in task.rows}
        texts = {
            row.name: show_value(fields[row.response].value).strip() for row in task.rows if lost[row.name] is None
        }
        faults = find_faults(task.checks, texts, reply.shown)
        ending = ENDING_FLAGS.get(read_ending(reply.finish_reason), ())
        rows = []
        for row in task.rows:
            field = lost[row.name]
            if field is not None:
                reason = fields[field].lost
            else:
                field = row.response
                reason = faults.get(row.name) or ("" if texts[row.name] else "empty")
            start, end = find_raw(fields[field], record)
            if reason:
                rows.append(ReadRow(row.name, reason, start, end, field))
                continue
            flags = tuple(sorted({*ending, *(flag for name in row.needs for flag in fields[name].flags)}))
            instruction, response = row.write(reply.shown, {name: fields[name].value for name in row.needs})
            free = row.name in task.free
            signature = [reply.task, row.name, response, *([] if free else [instruction])]
            if self.duplicates == "keep":
                signature.append(reply.id)
            key, near = digest("\n".join(signature)), response if self.near and free else ""
            line = dump_line(_make_values(reply, row.name, instruction, response, flags))
            rows.append(ReadRow(row.name, "", start, end, field, key, near, flags, line))
        return rows


def _make_values(
    reply: SentReply, template: str, instruction: str, response: str, flags: tuple[str, ...]
) -> dict[str, Any]:
    """The values of a `NewRow`, which takes longer to make than to write."""
    return {
        "id": f"{reply.id}-{template}",
        "task": reply.task,
        "role": "new",
        "group": reply.group,
        "split": reply.split,
        "messages": [{"role": "user", "content": instruction}, {"role": "assistant", "content": response}],
        "tests": [],
        "source": reply.id,
        "template": template,
        "flags": flags,
    }


class ReplyRepairer:
    """Repairs replies in their order; memory grows by 8 to 32 bytes a row kept, more with `near_duplicates`."""

    def __init__(
        self, tasks: Mapping[str, ReplyTask], truncated: str, duplicates: str, near_duplicates: NearDuplicates | None
    ) -> None:
        """`tasks` by name; `duplicates`: equal texts of different sources, keep or drop."""
        self.tasks = tasks
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

    def repair_all(self, pairs: Iterable[tuple[Reply, Source | None]]) -> Generator[RepairedRow]:
        """Yields the rows of each reply to a source, and what was quarantined of it; then `ledger` is complete.

        Many replies are read over processes (`relearn.workers`).
        """
        packed = (_pack(reply, source) for reply, source in pairs)
        first = list(islice(packed, ALONE + 1))
        # From a file, so many are there at once: where others are to help, they start before the first reply is read.
        with Workers(self.reader, 0 if len(first) > ALONE else math.inf) as workers:
            for chunk, found in workers.map(chunked(chain(first, packed), CHUNK)):
                for reply, read in zip(chunk, found, strict=True):
                    yield from self._settle(SentReply(*reply), _unpack(read))

    def _settle(self, reply: SentReply, read: ReadReply) -> Iterator[RepairedRow]:
        """The rows of one reply that repeat no earlier one, and what is quarantined of it; counts both."""
        counts, number = self.ledger.counts, len(self.tasks[reply.task].rows)
        counts["replies"] += 1
        counts["rows"] += number
        if read.refusal is not None:
            counts["replies_refused"] += 1
            counts["replies_refused_whole"] += 1
            counts["rows_quarantined"] += number
            yield self._refuse(reply, read.refusal, None, number)
            return
        lost: list[tuple[str, Refusal]] = []
        for row in read.rows:
            reason = row.reason or self._find_repeat(reply, row)
            if reason:
                lost.append((row.name, Refusal(reason, row.start, row.end, row.field)))
            else:
                for flag in row.flags:
                    self.ledger.flags[flag] += 1
                yield RepairedRow(reply.split, row.line)
        for name, refusal in lost:
            yield self._refuse(reply, refusal, name)
        for refusal in read.extra:
            yield self._refuse(reply, refusal, None)
        kept = number - len(lost)
        counts["rows_kept"] += kept
        counts["rows_quarantined"] += len(lost)
        counts["rows_quarantined_alone"] += len(lost)
        counts["extra_texts"] += len(read.extra)
        counts["replies_kept" if not lost else "replies_half_kept" if kept else "replies_refused"] += 1

    def _find_repeat(self, reply: SentReply, row: ReadRow) -> str:
        """Why a row that an earlier one repeats is refused; empty for a new one, which is remembered."""
        self.row += 1
        if self.seen.add(row.key, self.row) is not None:
            return "duplicate"
        if row.near:
            index = self.near[reply.task]
            neighbours = index.near(row.near)
            if neighbours:
                return f"near_duplicate of {neighbours[0]}"
            index.add(f"{reply.id}-{row.name}", row.near)
        return ""

    def _refuse(self, reply: SentReply, refusal: Refusal, row: str | None, count: int = 1) -> RepairedRow:
        """A row of quarantine, counted `count` times under its reason."""
        self.ledger.refuse(refusal.reason, count)
        raw = reply.raw or (reply.content or "")[refusal.start : refusal.end] or reply.refusal or ""
        refused = Quarantined(
            id=reply.id, task=reply.task, row=row, field=refusal.field, reason=refusal.reason, content=raw
        )
        return RepairedRow(None, dump_line(refused))


def _refuse_unread(reply: SentReply) -> str | None:
    """Why a reply need not be read."""
    if reply.split is None:
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
    if len(records) == 1:  # as most replies hold: there is nothing to choose
        for group in groups:
            for name in group:
                field = chosen.fields[name] = records[0].fields[name]
                field.flags = (*field.flags, *records[0].flags)
        return []
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
