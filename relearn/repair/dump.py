"""What a file of raw replies may be, and how it is taken apart into texts to read.

JSON Lines of replies or of records are read line by line, in constant memory; a line that is not whole JSON is
held with its neighbours and read as plain text. Any other file is one text.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO, Literal

from relearn.errors import InputError
from relearn.repair.envelopes import (
    FINISH_KEYS,
    TEXT_KEYS,
    Envelope,
    find_id,
    holds_more,
    read_content,
    read_service,
    read_tables,
)
from relearn.repair.json import RecordSchema, holds_a_key

QUESTION_KEYS = frozenset(
    "prompt instruction input question system messages user query request contents modelInput conversations".split()
)
REASONING_KEYS = frozenset("reasoning_content reasoning thinking thoughts thought analysis draft".split())
LOOK_AHEAD = 64
WHOLE_CHARS = 32 * 1024 * 1024
BLANK = "\ufeff \t\r\n"
OTHER_FORMATS = {
    b"PAR1": "a Parquet file; write its rows as JSON Lines",
    b"ARROW1": "an Arrow file; write its rows as JSON Lines",
    b"SQLite": "an SQLite database; write its rows as JSON Lines",
    b"PK\x03\x04": "a zip archive or a spreadsheet (.xlsx); unpack it, or save it as CSV",
    b"\x28\xb5\x2f\xfd": "packed with zstd; unpack it",
    b"\xfd7zXZ": "packed with xz; unpack it",
    b"BZh": "packed with bzip2; unpack it",
    b"%PDF": "a PDF; save its text as UTF-8",
}
"""What a file that is not text may be, by how it begins."""
QUOTED_CELL = re.compile(r'(?:\A|[\t\n])"(?:[^"]++|"")*+"(?=[\t\r\n]|\Z)')
CSV_NAME = re.compile(r"\w[\w .:\-]{0,47}")


@dataclass(slots=True)
class DumpText:
    """A text to read. `base` is added to its offsets; `id` and `line` say where it came from when it is a reply, `file`
    which file of a folder."""

    text: str
    base: int = 0
    id: str | int | None = None
    line: int | None = None
    finish_reason: str | None = None
    is_reply: bool = False
    is_broken: bool = False
    failed: str = ""
    """Why the reply is refused unread, `detail` what the service said of it."""
    detail: str = ""
    raw: str = ""
    """The row that the reply came in, where that holds more than its text."""
    flags: tuple[str, ...] = ()
    file: str | None = None


def read_dump(file: BinaryIO, name: str, schema: RecordSchema) -> Iterator[DumpText]:
    """The texts of a file, in order. InputError when it is not UTF-8, naming the line.

    A file of records is read as one text while it is small, since a record may then be compared with all others;
    a larger one line by line.
    """
    lines = _decode_lines(file, name)
    held: list[str] = []
    size = 0
    first: list[DumpText] | None = None  # the first line that is not blank, read, if it is whole
    looked = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if looked < LOOK_AHEAD and line.strip(BLANK):
            found = _read_line(line, schema)
            if found is not None and found[0].is_reply:
                yield from _read_lines(chain(held, lines), schema)
                return
            if looked == 0:
                first = found
            looked += 1
        if first is not None and size > WHOLE_CHARS:
            yield from _read_lines(chain(held, lines), schema)
            return
    if not looked:
        return
    text = "".join(held)
    del held
    replies = _read_array(text, schema)
    if replies is None:
        replies = _read_csv(text, schema)
    if replies is None:
        yield DumpText(text)
    else:
        yield from replies


def _decode_lines(file: BinaryIO, name: str) -> Iterator[str]:
    """Lines of UTF-8, or of the encoding that a byte order mark names; gzip is unpacked first."""
    buffered: Any = file if hasattr(file, "peek") else io.BufferedReader(file)
    if buffered.peek(2)[:2] == b"\x1f\x8b":
        buffered = io.BufferedReader(gzip.GzipFile(fileobj=buffered))
    head = b""
    try:
        head = buffered.peek(8)[:8]
        if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
            encoding = "utf-32" if head[:4] == b"\xff\xfe\x00\x00" else "utf-16"
            yield from io.TextIOWrapper(buffered, encoding, newline="\n")
            return
        for number, raw in enumerate(buffered, 1):
            try:
                yield raw.decode("utf-8")
            except UnicodeDecodeError as error:
                known = next((says for mark, says in OTHER_FORMATS.items() if head.startswith(mark)), None)
                if known is not None:
                    raise InputError(f"{name}: is {known}") from None
                raise InputError(
                    f"{name}, line {number}: not UTF-8 (byte {error.start + 1}); save the file as UTF-8"
                ) from None
    except UnicodeError:
        raise InputError(f"{name}: has a UTF-16 byte order mark but is not UTF-16; save the file as UTF-8") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{name}: gzip that cannot be unpacked ({error}); unpack it by hand") from None


def _read_line(line: str, schema: RecordSchema) -> list[DumpText] | None:
    """The line as replies or a record of its own; None when it is neither."""
    stripped = line.strip(BLANK)
    if not (stripped.startswith("{") and stripped.endswith("}")):
        return None
    try:
        value = json.loads(stripped)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    replies = _read_replies(value, schema)
    if replies:
        return replies
    if any(schema.keys.match(key) is not None for key in value):
        return [DumpText(line)]
    if not QUESTION_KEYS.isdisjoint(value):
        # The question is not an answer, even where it shows one.
        rest = {key: part for key, part in value.items() if key not in QUESTION_KEYS}
        return [DumpText(json.dumps(rest, ensure_ascii=False), id=find_id(value), is_reply=True, raw=stripped)]
    return None


def _read_replies(value: dict[str, Any], schema: RecordSchema) -> list[DumpText]:
    """The replies of a row: one of a service, `id`, `content`, `finish_reason`, or any with one text that holds a key."""
    if not schema.fields.keys().isdisjoint(value):
        return []
    if isinstance(value.get("content"), str) and not value.get("error") and "role" not in value:
        found = _read_plain(value, schema)  # nothing more to open
    elif read_tables(value) is not None:
        return []
    else:
        found = read_service(value) or _read_plain(value, schema)
    identity = find_id(value)
    if identity is None and found:
        inner = [value[key] for key in ("response", "body", "result", "message", "output") if key in value]
        identity = next((name for name in map(find_id, inner) if name is not None), None)
    return [
        DumpText(
            text=one.text or "",
            id=identity,
            finish_reason=one.finish_reason,
            is_reply=True,
            failed=one.failed,
            detail=one.detail,
            raw=""
            if (one.text or "").strip() or not (one.failed or holds_more(value))
            else json.dumps(value, ensure_ascii=False),
            flags=tuple(one.flags),
        )
        for one in found
    ]


def _read_table_row(number: int, row: dict[str, Any], schema: RecordSchema) -> DumpText:
    """A record that a table holds by its columns, as JSON; its line is the row's number, or its own in a file."""
    record = {name: value for name, value in row.items() if name in schema.fields}
    text = json.dumps(record, ensure_ascii=False)
    return DumpText(
        text,
        id=find_id({k: v for k, v in row.items() if k not in record}),
        line=number,
        is_reply=True,
        flags=("table",),
    )


def _read_csv(text: str, schema: RecordSchema) -> list[DumpText] | None:
    """The replies or records of a CSV or TSV file with a header; None when the file is neither.

    A row with a different number of cells from the header is read as plain text. One text, refused, where the header
    names a field and the rows are no table's.
    """
    text = text.lstrip("\ufeff")
    header = text.partition("\n")[0].rstrip("\r")
    delimiter = max(",;\t|", key=header.count)
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    try:
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    except csv.Error:  # a carriage return in it
        return None
    names[:1] = [names[0] or "index"] if names else []  # as pandas writes it
    if not (names and len(set(names)) == len(names) and all(CSV_NAME.fullmatch(name) for name in names)):
        return None
    named = not schema.fields.keys().isdisjoint(names)
    if len(names) == 1 and (not named or holds_a_key(text, schema)):
        return None  # a line of a text
    lines = io.StringIO(text, newline="").readlines()
    # Many programs write TSV without quotes around cells: then one that begins a cell is part of it.
    bare = delimiter == "\t" and QUOTED_CELL.search(text) is None
    quoting: Literal[0, 3] = csv.QUOTE_NONE if bare else csv.QUOTE_MINIMAL
    rows = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    found: list[DumpText] = []
    at = broken = 0  # lines read, rows that do not fit
    problem = ""
    try:
        for cells in rows:
            read = _read_csv_row(dict(zip(names, cells, strict=True)), schema) if len(cells) == len(names) else []
            if at and cells and not read:
                broken += 1
                if len(cells) != len(names):
                    problem = problem or f"line {at + 1}: the header has {len(names)} cells, this row {len(cells)}"
                if not found:
                    break
                read = [DumpText("".join(lines[at : rows.line_num]), is_broken=True)]
            for one in read if at else ():
                one.line = at + 1
                found.append(one)
            at = rows.line_num
    except csv.Error as error:
        problem, found = f"line {at + 1}: {error}", []
    if 4 * broken < len(found):
        return found
    if problem and named and not holds_a_key(text, schema):
        return [DumpText(text, failed="broken_table", detail=problem)]
    return None


def _read_csv_row(row: dict[str, str], schema: RecordSchema) -> list[DumpText]:
    if not set(schema.fields) & set(row):
        return _read_replies(row, schema)
    if "strings" in schema.fields.values():
        return []
    return [_read_table_row(0, {name: _read_cell(cell, schema.fields.get(name)) for name, cell in row.items()}, schema)]


def _read_cell(cell: str, kind: str | None) -> Any:
    """A cell as a value of the field's kind, where it is one."""
    if kind in ("number", "integer", "boolean"):
        with contextlib.suppress(ValueError):
            return json.loads(cell.strip().lower())
    return None if kind is not None and not cell else cell


def _read_plain(value: dict[str, Any], schema: RecordSchema) -> list[Envelope]:
    """A row with one text (or object) of an answer."""
    finish = None
    for name in FINISH_KEYS:
        if name in value and isinstance(value[name], str):
            finish = value[name]
            break
    content = value.get("content")
    if isinstance(content, str) and content.strip():
        return [Envelope(content, finish)]  # most rows are like this
    if "content" in value and isinstance(content, str | list | dict | None):
        found = ["content"]
    else:
        if any(schema.keys.match(key) is not None for key in value):
            return []
        found = [key for key in TEXT_KEYS if isinstance(value.get(key), str)]
        found = found or [key for key in ("generation", "generated_text") if key in value and value[key] is None]
        if len(found) != 1:  # of several texts those that hold a record, else the one that is least like the question
            names = found or [key for key in value if key not in QUESTION_KEYS | REASONING_KEYS]
            holding = [key for key in names if isinstance(value[key], str) and holds_a_key(value[key], schema)]
            found = holding or [key for key in found if key not in ("text", "raw")][:1]
    if not found:
        return []
    texts = [read_content(value[key]) for key in found]
    if not any((text or "").strip() for text, _ in texts) and any(value.get(key) for key in REASONING_KEYS):
        return [Envelope(None, finish, "only_reasoning")]
    return [Envelope(text, finish, flags=flags) for text, flags in texts]


def _read_lines(lines: Iterable[str], schema: RecordSchema) -> Iterator[DumpText]:
    at = 0
    other: list[str] = []
    other_at = other_line = 0
    replies = 0

    def flush() -> Iterator[DumpText]:
        if "".join(other).strip(BLANK):
            text = DumpText("".join(other), other_at, is_broken=replies > 0)
            if replies:
                text.line = other_line
            yield text
        other.clear()

    for number, line in enumerate(lines, 1):
        found = _read_line(line, schema)
        if found is None:
            if not other:
                other_at, other_line = at, number
            other.append(line)
        else:
            yield from flush()
            for one in found:
                one.line = number
                if one.is_reply:
                    replies += 1
                else:
                    one.base, one.line = at, None
                yield one
        at += len(line)
    yield from flush()


def _read_array(text: str, schema: RecordSchema) -> list[DumpText] | None:
    """Replies from one JSON document: an array of them, an object that wraps the array, or a single reply."""
    stripped = text.strip(BLANK)
    if not stripped or stripped[0] not in "[{" or '"' not in stripped:
        return None
    try:
        value = json.loads(stripped)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        single = _read_replies(value, schema)
        if single:
            return single
        rows = read_tables(value)
        if rows is not None:
            if set(schema.fields) & set(rows[0]) and "strings" not in schema.fields.values():
                return [_read_table_row(number, row, schema) for number, row in enumerate(rows, 1)]
            value = rows
        else:
            lists = [child for child in value.values() if isinstance(child, list)]
            value = lists[0] if len(lists) == 1 else None
    if not isinstance(value, list) or not value:
        return None
    replies = [_read_replies(row, schema) if isinstance(row, dict) else [] for row in value]
    if all(replies):
        return [reply for of_row in replies for reply in of_row]
    return None
