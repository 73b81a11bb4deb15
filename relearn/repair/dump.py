"""What a file of raw replies may be, and how it is taken apart into texts to read.

JSON Lines of replies or of records are read line by line, in constant memory; a line that is not whole JSON is
held with its neighbours and read as plain text. Any other file is one text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO

from relearn.errors import InputError
from relearn.repair.json import RecordSchema

CONTENT_KEYS = "content text response reply completion output raw answer generated_text".split()
ID_KEYS = "id custom_id review_id key index".split()
LOOK_AHEAD = 64
WHOLE_CHARS = 32 * 1024 * 1024
BLANK = "\ufeff \t\r\n"


@dataclass(slots=True)
class DumpText:
    """A text to read. `base` is added to its offsets; `id` and `line` say where it came from when it is a reply."""

    text: str
    base: int = 0
    id: str | int | None = None
    line: int | None = None
    finish_reason: str | None = None
    is_reply: bool = False
    is_broken: bool = False


def read_dump(file: BinaryIO, name: str, schema: RecordSchema) -> Iterator[DumpText]:
    """The texts of a file, in order. InputError when it is not UTF-8, naming the line.

    A file of records is read as one text while it is small, since a record may then be compared with all others;
    a larger one line by line.
    """
    lines = _decode_lines(file, name)
    held: list[str] = []
    size = 0
    first: DumpText | None = None  # what the first line that is not blank is, if it stands for itself
    looked = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if looked < LOOK_AHEAD and line.strip(BLANK):
            found = _read_line(line, schema)
            if found is not None and found.is_reply:
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
        yield DumpText(text)
    else:
        yield from replies


def _decode_lines(file: BinaryIO, name: str) -> Iterator[str]:
    for number, raw in enumerate(file, 1):
        try:
            yield raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{name}, line {number}: not UTF-8 (byte {error.start + 1}); save the file as UTF-8"
            ) from None


def _read_line(line: str, schema: RecordSchema) -> DumpText | None:
    """The line as a reply or a record of its own; None when it is neither."""
    stripped = line.strip(BLANK)
    if not (stripped.startswith("{") and stripped.endswith("}")):
        return None
    try:
        value = json.loads(stripped)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    reply = _read_reply(value, schema)
    if reply is not None:
        return reply
    if any(schema.keys.match(key) is not None for key in value):
        return DumpText(line)
    return None


def _read_reply(value: dict[str, Any], schema: RecordSchema) -> DumpText | None:
    """A row of replies: `id`, `content`, `finish_reason`, or an answer of a chat-completions server."""
    if any(key in schema.fields for key in value):
        return None
    identity = next((value[key] for key in ID_KEYS if isinstance(value.get(key), str | int)), None)
    for path in (("response", "body"), ("response",), ("body",), ()):
        inner: Any = value
        for key in path:
            inner = inner.get(key) if isinstance(inner, dict) else None
        choices = inner.get("choices") if isinstance(inner, dict) else None
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            message = choices[0].get("message")
            content = message.get("content") if isinstance(message, dict) else choices[0].get("text")
            if content is None or isinstance(content, str):
                return DumpText(content or "", 0, identity, None, _as_text(choices[0].get("finish_reason")), True)
    if "content" in value:
        found = ["content"]
    else:
        found = [key for key in CONTENT_KEYS if isinstance(value.get(key), str)]
        if any(schema.keys.match(key) is not None for key in value):
            return None
    if len(found) != 1 or not (value[found[0]] is None or isinstance(value[found[0]], str)):
        return None
    return DumpText(value[found[0]] or "", 0, identity, None, _as_text(value.get("finish_reason")), True)


def _as_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


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
            found.line = number
            if found.is_reply:
                replies += 1
            else:
                found.base, found.line = at, None
            yield found
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
        single = _read_reply(value, schema)
        if single is not None:
            return [single]
        lists = [child for child in value.values() if isinstance(child, list)]
        value = lists[0] if len(lists) == 1 else None
    if not isinstance(value, list) or not value:
        return None
    replies = [_read_reply(row, schema) if isinstance(row, dict) else None for row in value]
    return [reply for reply in replies if reply is not None] if all(replies) else None
