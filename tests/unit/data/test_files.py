"""Readers: every format gives the same rows, and every bad file is named with its line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relearn.data.files import FileTable
from relearn.errors import InputError
from tests.unit.data.sources import write_csv, write_jsonl

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
ROWS = [{"review": 'good, "very" good\nindeed', "sentiment": "pos"}, {"review": "schlecht – naïf", "sentiment": "neg"}]


def read(path: Path, *columns: str) -> list[tuple[int, dict[str, object]]]:
    return [(number, {column: row[column] for column in columns}) for number, row in FileTable(path).rows(columns)]


def test_formats_give_the_same_rows(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ROWS)
    write_jsonl(tmp_path / "a.jsonl", ROWS)
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    (tmp_path / "a.tsv").write_text('review\tsentiment\n"good, ""very"" good\nindeed"\tpos\nschlecht – naïf\tneg\n')
    for name in ("a.csv", "a.jsonl", "a.parquet", "a.tsv"):
        assert [row for _, row in read(tmp_path / name, "review", "sentiment")] == ROWS


def test_csv_counts_lines_where_rows_begin(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [*ROWS, ROWS[1]])
    assert [number for number, _ in read(tmp_path / "a.csv", "review")] == [2, 4, 5]


def test_csv_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfreview,sentiment\r\nfine,pos\r\n")
    assert read(tmp_path / "a.csv", "review") == [(2, {"review": "fine"})]


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1))
def test_csv_reads_what_was_written(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(["a", "b"])
    writer.writerows(rows)
    path.write_text(buffer.getvalue(), encoding="utf-8", newline="")
    assert [(row["a"], row["b"]) for _, row in FileTable(path).rows(["a", "b"])] == rows


def test_a_cell_longer_than_the_csv_module_allows_by_default(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [{"review": "x" * 200_000}])
    assert len(str(read(tmp_path / "a.csv", "review")[0][1]["review"])) == 200_000


BAD = {
    "column.csv": (b"text,sentiment\nfine,pos\n", "no column 'review'; the columns are text, sentiment"),
    "near.csv": (b"Reviews,sentiment\nfine,pos\n", "did you mean 'Reviews'?"),
    "twice.csv": (b"review,review\na,b\n", "names column 'review' twice"),
    "cells.csv": (b"review,sentiment\nfine,pos\nwell, well,neg\n", "line 3: 3 cells where the header names 2"),
    "quote.csv": (b'review,sentiment\n"fine,pos\nbad,neg\n', "line 2: not CSV"),
    "empty.csv": (b"", "is empty"),
    "latin.csv": (b"review,sentiment\nfine,pos\nna\xefve,neg\n", "line 3: not UTF-8 (byte 3)"),
    "wide.csv": ("review,sentiment\n".encode("utf-16"), "line 1: not UTF-8"),
    "list.jsonl": (b'{"review": "a"}\n["b"]\n', "line 2: list, not an object"),
    "json.jsonl": (b'{"review": "a"}\n{"review": \n', "line 2: not JSON"),
    "key.jsonl": (b'{"review": "a"}\n{"revew": "b"}\n', "line 2: no column 'review'; the columns are revew"),
    "bytes.jsonl": (b'{"review": "a"}\n{"review": "\xff"}\n', "line 2: not UTF-8"),
    "text.parquet": (b"review,sentiment\n", "not readable as Parquet"),
    "a.xlsx": (b"PK", "unknown extension '.xlsx'; use .csv, .jsonl or .parquet"),
    "a.json": (b"[]", "save it as JSON Lines"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named(tmp_path: Path, name: str) -> None:
    content, expected = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(tmp_path / name, "review")
    assert str(caught.value).startswith(str(tmp_path / name))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_parquet_file_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist([{"review": f"number {n}"} for n in range(9000)]), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="not readable as Parquet"):
        read(path, "review")


def test_a_parquet_file_without_the_column(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{"Review": "a"}]), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="did you mean 'Review'"):
        read(tmp_path / "a.parquet", "review")


def test_missing_files_name_their_neighbours(tmp_path: Path) -> None:
    write_csv(tmp_path / "reviews.csv", ROWS)
    with pytest.raises(InputError, match=r"review\.csv: no such file; did you mean reviews\.csv\?"):
        FileTable(tmp_path / "review.csv")
    with pytest.raises(InputError, match=r"holds reviews\.csv"):
        FileTable(tmp_path / "zzz.jsonl")
    with pytest.raises(InputError, match=r"the folder .* does not exist either"):
        FileTable(tmp_path / "nowhere" / "a.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        FileTable(tmp_path / "folder.csv")
