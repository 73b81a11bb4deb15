"""A folder of files of raw replies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from relearn.errors import InputError
from relearn.repair.dump import DumpText, read_dump
from relearn.repair.json import RecordSchema


def read_folder(folder: Path, schema: RecordSchema) -> Iterator[DumpText]:
    """The texts of each file of a folder and of the folders in it, by name; hidden ones are left out.

    InputError when there is none, or when one is not UTF-8.
    """
    found = False
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in inner.parts):
            found = True
            with open(path, "rb") as file:
                for text in read_dump(file, str(path), schema):
                    text.file = inner.as_posix()
                    yield text
    if not found:
        raise InputError(f"{folder}: holds no files; give a folder of replies, or a file")
