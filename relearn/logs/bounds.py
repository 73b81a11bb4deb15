"""Reading what a stranger wrote: bounded lines, documents, archives and folders; one line for whatever goes wrong."""

from __future__ import annotations

import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import zstandard

from relearn.errors import InputError
from relearn.escaping import inline

MEBI = 1 << 20
LINE = 64 * MEBI  # the longest line of JSON Lines, and the largest member of an archive
DOCUMENT = 256 * MEBI  # the largest JSON document, which is held in memory as a whole
FILES = 20_000  # of a folder
MEMBERS = 2_000_000  # of an archive
UNPACKED = 64 * 1024 * MEBI  # of an archive, all members together
RATIO = 1_000  # unpacked over packed, of a member of more than a mebibyte
ZSTD = 93  # its number in zip archives, which Python reads from 3.14 on
_LOCAL_HEADER = struct.Struct("<4s22xHH")


def parse(raw: bytes, where: str) -> dict[str, Any]:
    """The object of a JSON text; InputError that says `where`."""
    try:
        value = json.loads(raw)
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 (byte {error.start + 1}); save it as UTF-8") from None
    except RecursionError:
        raise InputError(f"{where}: nested too deeply to be a log") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not JSON ({error.msg})") from None
    except ValueError as error:  # a number of more digits than Python converts
        raise InputError(f"{where}: not JSON that can be read ({error})") from None
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected a JSON object, not a {type(value).__name__}")
    return value


def read_rows(path: Path, cut: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, row) for each line of JSON Lines that is not blank. InputError for one of more than 64 MiB.

    A last line that has no end and cannot be read was cut off: it ends the rows, and `cut` gets what there is to say.
    """
    with _open(path) as file:
        number = 0
        while line := file.readline(LINE + 1):
            number += 1
            where = f"{path}, line {number}"
            if len(line) > LINE:
                raise InputError(f"{where}: longer than {LINE // MEBI} MiB; this is not a log of samples")
            if not line.strip():
                continue
            try:
                row = parse(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, where)
            except InputError as error:
                if number == 1 or line.endswith(b"\n"):
                    raise
                cut.append(f"{error}; the file is cut off here")
                return
            yield where, row


def read_document(path: Path) -> dict[str, Any]:
    """The JSON object in a file; InputError for one of more than 256 MiB."""
    with _open(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > DOCUMENT:
            raise InputError(
                f"{path}: {size / MEBI:.0f} MiB, more than {DOCUMENT // MEBI}; use a format of one sample a line or member"
            )
        return parse(file.read(DOCUMENT + 1), str(path))


def _open(path: Path) -> IO[bytes]:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def list_files(folder: Path) -> list[Path]:
    """All files under a folder, in order of their names; links to folders are not followed."""
    found: list[Path] = []
    for here, folders, names in os.walk(folder):
        folders.sort()
        found += (Path(here, name) for name in sorted(names) if not name.startswith("."))
        if len(found) > FILES:
            raise InputError(f"{folder}: more than {FILES} files; name the folder of one run")
    return [path for path in found if path.is_file()]


class Archive:
    """A zip archive whose members are read one by one in memory, stored, deflated or Zstandard (Inspect's `.eval`)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _open(path)
        try:
            self._zip = zipfile.ZipFile(self._file)
            self.members = self._zip.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error):
            self._file.close()
            raise InputError(
                f"{path}: not a whole zip archive; the file is cut off or damaged, copy it again"
            ) from None
        size = os.fstat(self._file.fileno()).st_size
        packed = sum(member.compress_size for member in self.members)
        unpacked = sum(member.file_size for member in self.members)
        if len(self.members) > MEMBERS or unpacked > UNPACKED or packed > size:
            self._file.close()
            raise InputError(
                f"{path}: {len(self.members)} members of {unpacked / MEBI:.0f} MiB unpacked in a file of {size / MEBI:.0f} MiB; this is not a log"
            )

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read_object(self, member: zipfile.ZipInfo) -> dict[str, Any]:
        """The JSON object in a member."""
        where = f"{self.path}, member {inline(member.filename[:100])}"
        return parse(self._unpack(member, where), where)

    def _unpack(self, member: zipfile.ZipInfo, where: str) -> bytes:
        if member.flag_bits & 0x1:
            raise InputError(f"{where}: is encrypted")
        large = member.file_size > MEBI and member.file_size > RATIO * member.compress_size
        if member.file_size > LINE or large:
            raise InputError(
                f"{where}: {member.file_size / MEBI:.0f} MiB from {member.compress_size} bytes; this is not the log of a sample"
            )
        try:
            if member.compress_type == ZSTD:
                found = self._unpack_zstd(member)
            else:
                with self._zip.open(member) as file:
                    found = file.read(member.file_size + 1)
        except (
            zipfile.BadZipFile,
            zstandard.ZstdError,
            zlib.error,
            NotImplementedError,
            EOFError,
            OSError,
            struct.error,
            RuntimeError,
            ValueError,
        ) as error:
            raise InputError(f"{where}: cannot be unpacked ({error}); the file is damaged") from None
        if len(found) != member.file_size or zlib.crc32(found) != member.CRC:
            raise InputError(f"{where}: is not what the archive's list says; the file is damaged")
        return found

    def _unpack_zstd(self, member: zipfile.ZipInfo) -> bytes:
        self._file.seek(member.header_offset)
        mark, name, extra = _LOCAL_HEADER.unpack(self._file.read(_LOCAL_HEADER.size))
        if mark != b"PK\x03\x04":
            raise zipfile.BadZipFile("no member where the list says there is one")
        self._file.seek(name + extra, os.SEEK_CUR)
        packed = self._file.read(member.compress_size)
        unpacker = zstandard.ZstdDecompressor(max_window_size=2 * LINE)
        with unpacker.stream_reader(packed) as reader:
            return bytes(reader.read(member.file_size + 1))
