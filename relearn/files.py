"""Files that a reader sees whole or not at all: JSON Lines (https://jsonlines.org), JSON and text, in UTF-8.

Each is written to a temporary file beside the target, which is then renamed.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import gzip
import hashlib
import json
import os
import tempfile
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO, TypeVar, cast

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json

from relearn.errors import InputError
from relearn.records import Record

R = TypeVar("R", bound=Record)


def read_jsonl(path: Path | str, kind: type[R]) -> Iterator[R]:
    """Yields the rows of a file one by one.

    Raises InputError naming the file and the line when it is missing, is not UTF-8, or a row is not a `kind`.
    """
    for number, line in _read_lines(path):
        try:
            row = kind.model_validate_json(line)
        except ValidationError:  # json reads more: a lone surrogate, as an escape can leave it
            text = _decode(path, number, line)
            if not text.strip():
                continue
            row = _check_row(path, number, _load(path, number, text), kind)
        yield row


def read_json_lines(path: Path | str) -> Iterator[tuple[int, Any]]:
    """Yields (line number from 1, value) for each line that is not blank; InputError as in `read_jsonl`."""
    for number, line in _read_lines(path, "check its name"):
        text = _decode(path, number, line)
        if text.strip():
            yield number, _load(path, number, text)


def _read_lines(
    path: Path | str, remedy: str = "run the stage that writes it (dvc repro)"
) -> Iterator[tuple[int, bytes]]:
    """Yields (line number from 1, bytes) without the mark that Windows programs write before the first line."""
    try:
        with open_bytes(path) as file:
            for number, line in enumerate(file, 1):
                yield number, line.removeprefix(BOM_UTF8) if number == 1 else line
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {remedy}") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; expected a file") from None


def _decode(path: Path | str, number: int, line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}, line {number}: not UTF-8 (byte {error.start + 1}); save the file as UTF-8") from None


def _load(path: Path | str, number: int, text: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        raise InputError(f"{path}, line {number}: not JSON ({reason}); expected one JSON object a line") from None


def _check_row(path: Path | str, number: int, value: Any, kind: type[R]) -> R:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the row"
        raise InputError(f"{path}, line {number}: {where}: {first['msg']}; expected a {kind.__name__}") from None


@contextmanager
def open_bytes(path: Path | str) -> Iterator[BinaryIO]:
    """Opens a file to be read, unpacked where its name ends in .gz; InputError where what is read is not gzip."""
    if not str(path).endswith(".gz"):
        with open(path, "rb") as file:
            yield file
        return
    try:
        with gzip.open(path) as packed:
            yield cast(BinaryIO, packed)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: not whole gzip ({error}); get the file again") from None


def file_hash(path: Path | str) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_write(path: Path | str) -> Iterator[TextIO]:
    """Opens a temporary file beside `path` for writing UTF-8 text, and renames it onto `path` when all went well.

    After an error or a kill, `path` is what it was before. An OSError names `path`, never the temporary file. A device, a
    pipe or an open descriptor (/dev/null, /dev/stdout) is written to as it is.
    """
    path = Path(path)
    stream = _open_stream(path)
    if stream is not None:
        with stream:
            yield stream
        return
    try:
        with _replacing(path) as file:
            yield file
    except OSError as error:
        temporary = str(error.filename).startswith(os.path.abspath(path.parent / f".{path.name}."))
        full = error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if temporary or full:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def _open_stream(path: Path) -> TextIO | None:
    """The device, pipe or open descriptor that a path names, whose place a renamed file would take; None for a file."""
    place = path.parent.resolve() / path.name  # /dev/fd is a link into /proc, and /dev/stdout is one
    for at in (place, Path(os.readlink(place)) if place.is_symlink() else place):
        if at.name.isdigit() and at.parent.resolve() == Path("/proc/self/fd").resolve():
            return open(os.dup(int(at.name)), "w", encoding="utf-8", newline="\n")
    if path.exists() and not path.is_file() and not path.is_dir():
        return open(path, "a", encoding="utf-8", newline="\n")
    return None


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with suppress(OSError), open(left, "rb") as other:  # its writer lives, or another has removed it
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()
    handle, name = _temporary(path)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(handle)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _temporary(path: Path) -> tuple[int, str]:
    """A new temporary file beside `path`, locked until it is closed or its process ends, however that ends."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with suppress(OSError):  # a file system without locks: leftovers stay there, and nothing is removed
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, name
        os.close(handle)  # taken for a leftover before it was locked


def dump_line(row: Record | Mapping[str, Any]) -> str:
    """The row, or its values by name, as one line of JSON in their order, without the newline.

    Text that UTF-8 cannot hold (a lone surrogate, as a cut-off escape leaves it) is written as escapes.
    """
    try:
        return to_json(row).decode()
    except PydanticSerializationError:
        return json.dumps(row.model_dump() if isinstance(row, Record) else row, separators=(",", ":"))


def write_jsonl(path: Path | str, rows: Iterable[Record]) -> int:
    """Writes the rows, whole or not at all, and returns their number."""
    count = 0
    with atomic_write(path) as file:
        for row in rows:
            file.write(dump_line(row) + "\n")
            count += 1
        if count == 0:
            file.write("\n")  # DVC warns of an empty file at every step, though there is nothing to do about it
    return count


def write_text(path: Path | str, text: str) -> None:
    """Writes a text, whole or not at all."""
    with atomic_write(path) as file:
        file.write(text)


def write_json(path: Path | str, value: object) -> None:
    """Writes one JSON document, keys in the order given, floats rounded by the caller; whole or not at all."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which UTF-8 cannot hold
        text = json.dumps(value, indent=2, allow_nan=False)
    write_text(path, text + "\n")
