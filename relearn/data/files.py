"""Rows of a CSV, JSON Lines or Parquet file, read as a stream, with every bad row named by its line.

CSV and JSON Lines may be packed (.csv.gz, .jsonl.gz).

CSV goes through the standard library's reader (RFC 4180, strict), which keeps the line number that pandas loses.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path

from relearn.data.table import TableRow, no_column
from relearn.errors import InputError, first_line
from relearn.files import open_bytes, read_json_lines

FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_LONGEST_CELL = 64 << 20  # bytes; a quote that is never closed would otherwise take in the rest of the file


class FileTable:
    """A file as a table; the format follows its extension. `number` is the line, or in Parquet the row, from 1."""

    strict = True

    def __init__(self, path: Path) -> None:
        """Raises InputError when the file is missing, or its extension is not one of FORMATS."""
        self.path = path
        self.name = str(path)
        self.origin = {"file": path.name}
        self._format = path.suffix.lower()
        if self._format == ".gz" and path.with_suffix("").suffix.lower() != ".parquet":
            self._format = path.with_suffix("").suffix.lower()
        if self._format not in FORMATS:
            hint = (
                "; a .json file holds one document: save it as JSON Lines, one object a line"
                if self._format == ".json"
                else ""
            )
            raise InputError(f"{path}: unknown extension {path.suffix!r}; use .csv, .jsonl or .parquet{hint}")
        if path.is_dir():
            raise InputError(f"{path}: is a folder; expected a file")
        if not path.exists():
            raise InputError(f"{path}: no such file{_nearest(path)}")

    def where(self, number: int) -> str:
        """The file and the line (in Parquet the row)."""
        return f"{self.name}, {'row' if self._format == '.parquet' else 'line'} {number}"

    def rows(self, columns: Sequence[str], optional: Container[str] = ()) -> Iterator[tuple[int, TableRow]]:
        """Yields (line or row number, row); InputError on the first row that cannot be read.

        Of the `optional` columns a row holds those that are there.
        """
        if self._format in (".csv", ".tsv"):
            return self._csv(columns, optional, "\t" if self._format == ".tsv" else ",")
        if self._format == ".parquet":
            return self._parquet(columns, optional)
        return self._jsonl(columns)

    def _csv(self, columns: Sequence[str], optional: Container[str], delimiter: str) -> Iterator[tuple[int, TableRow]]:
        # the limit is the csv module's only setting for all readers; it is never lowered, so two tables get on
        csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
        with open_bytes(self.path) as file:
            reader = csv.reader(self._decoded(file), delimiter=delimiter, strict=True)
            header: list[str] | None = None
            places: dict[str, int] = {}
            while True:
                number = reader.line_num + 1
                try:
                    cells = next(reader)
                except StopIteration:
                    break
                except csv.Error as error:
                    if "new-line character" in str(error):
                        raise InputError(f"{self.where(number)}: {self._explain_returns()}") from None
                    raise InputError(
                        f"{self.where(number)}: not CSV ({error}); quote a cell that holds quotes, commas or line breaks, "
                        "and double the quotes inside it"
                    ) from None
                if not cells:
                    continue
                if header is None:
                    header = cells
                    self._check_separator(number, header, delimiter)
                    places = self._places(header, [*columns, *(name for name in header if name in optional)])
                    continue
                if len(cells) != len(header):
                    raise InputError(
                        f"{self.where(number)}: {len(cells)} cells where the header names {len(header)}; "
                        "quote a cell that holds commas or line breaks"
                    )
                yield number, {column: cells[place] for column, place in places.items()}
            if header is None:
                raise InputError(f"{self.name}: is empty; expected a header line and rows")

    def _explain_returns(self) -> str:
        """Why there is a carriage return where no line ends."""
        with open_bytes(self.path) as file:
            raw = file.read()
        if raw.count(b"\n") <= 1:
            return "the lines end with carriage returns alone, as on old Macs; save the file with line feeds (Unix or Windows)"
        return "an unquoted cell holds a lone carriage return; quote the cell, or remove the character"

    def _check_separator(self, number: int, header: list[str], delimiter: str) -> None:
        """Refuses a header that another separator makes one cell of, and Excel's line that names one."""
        if re.fullmatch(r"sep=.?", header[0].strip(), re.IGNORECASE):
            raise InputError(
                f"{self.where(number)}: holds Excel's `sep=` and no header; remove the line, and save the file with commas"
            )
        other = next((mark for mark in ",;\t|" if mark != delimiter and mark in header[0]), None)
        if len(header) == 1 and other is not None:
            names = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
            how = "name it .tsv" if other == "\t" else f"save it with {names[delimiter]}"
            raise InputError(
                f"{self.where(number)}: the cells are separated by {names[other]}, but {names[delimiter]} separate those of "
                f"a {self._format} file; {how}"
            )

    def _decoded(self, lines: Iterable[bytes]) -> Iterator[str]:
        for number, raw in enumerate(lines, 1):
            try:
                yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{self.where(number)}: not UTF-8 (byte {error.start + 1}); save the file as UTF-8"
                ) from None

    def _places(self, header: list[str], columns: Sequence[str]) -> dict[str, int]:
        for column in columns:
            if column not in header:
                raise no_column(self.name, column, header)
            if header.count(column) > 1:
                raise InputError(f"{self.name}: the header names column {column!r} twice; rename one of them")
        return {column: header.index(column) for column in columns}

    def _jsonl(self, columns: Sequence[str]) -> Iterator[tuple[int, TableRow]]:
        for number, value in read_json_lines(self.path):
            if not isinstance(value, dict):
                raise InputError(
                    f"{self.where(number)}: {type(value).__name__}, not an object; write one JSON object a line"
                )
            for column in columns:
                if column not in value:
                    raise no_column(self.where(number), column, value)
            yield number, value

    def _parquet(self, columns: Sequence[str], optional: Container[str]) -> Iterator[tuple[int, TableRow]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        number = 0
        try:
            with pq.ParquetFile(self.path) as file:
                present = file.schema_arrow.names
                for column in columns:
                    if column not in present:
                        raise no_column(self.name, column, present)
                wanted = dict.fromkeys([*columns, *(name for name in present if name in optional)])
                for batch in file.iter_batches(batch_size=1024, columns=list(wanted)):
                    for row in batch.to_pylist():
                        number += 1
                        yield number, row
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{self.name}: not readable as Parquet after row {number} ({first_line(error)}); write the file again"
            ) from None


def _nearest(path: Path) -> str:
    """The name beside `path` that comes closest, as the end of a message."""
    if not path.parent.is_dir():
        return f"; the folder {path.parent} does not exist either"
    names = sorted(entry.name for entry in path.parent.iterdir() if entry.suffix.lower() in FORMATS)
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; {path.parent} holds {', '.join(names)}" if names else f"; {path.parent} holds no data file"
