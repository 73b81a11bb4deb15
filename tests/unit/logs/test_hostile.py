"""Logs that were made to do harm: each is one line that names the file, whatever it holds."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relearn.errors import InputError
from relearn.logs import bounds, lighteval
from relearn.logs.find import find_runs
from relearn.logs.pairs import pair
from relearn.logs.table import read_side
from tests.unit.logs import made


def read(path: Path) -> None:
    read_side("base", str(path), find_runs(str(path), None), {})


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "1" * 5_000, '{"id": 1', "\x00", "nul", '"' + "x" * 100]
)
def test_broken_and_deep_json_is_refused(tmp_path: Path, text: str) -> None:
    for name in ("x.jsonl", "x.json"):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=r"x\.json"):
            read(tmp_path / name)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"task": "\xff\xfe"}\n')
    with pytest.raises(InputError, match="not UTF-8"):
        read(tmp_path / "x.jsonl")


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "LINE", 100)
    (tmp_path / "x.jsonl").write_text("x" * 101)
    with pytest.raises(InputError, match="longer than"):
        read(tmp_path / "x.jsonl")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb = made.write_archive(tmp_path / "x.eval", [("header.json", b" " * (40 << 20))])
    with pytest.raises(InputError, match="not the log of a sample"):
        read(bomb)


def test_a_member_larger_than_the_archive_says_is_refused(tmp_path: Path) -> None:
    for method in (8, 93):
        liar = made.write_archive(tmp_path / "x.eval", [("header.json", b" " * 100_000)], method, claim=10)
        with pytest.raises(InputError, match="damaged"):
            read(liar)


def test_members_that_lie_on_each_other_are_refused(tmp_path: Path) -> None:
    path = made.write_archive(tmp_path / "x.eval", [("header.json", b"{}"), ("a", b"{}")])
    raw = bytearray(path.read_bytes())
    first = raw.index(b"PK\1\2")
    raw[first + 20 : first + 24] = (10_000).to_bytes(4, "little")
    path.write_bytes(bytes(raw))
    with pytest.raises(InputError, match="this is not a log"):
        read(path)


def test_more_members_than_a_log_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MEMBERS", 2)
    with pytest.raises(InputError, match="3 members"):
        read(made.write_archive(tmp_path / "x.eval", [(name, b"{}") for name in "abc"]))


@pytest.mark.parametrize("name", ["../../etc/passwd", "/abs.json", "samples/../../x.json", "samples/a\n.json"])
def test_a_members_name_is_never_a_path(tmp_path: Path, name: str) -> None:
    sample = made.inspect_sample("a", 1, {"match": "C"})
    header = made.inspect_log([])
    header.pop("samples")
    made.write_archive(
        tmp_path / "in" / "x.eval", [(name, json.dumps(sample).encode()), ("header.json", json.dumps(header).encode())]
    )
    read(tmp_path / "in" / "x.eval")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["x.eval"]


def test_a_cut_archive_and_a_cut_parquet_are_said_to_be_cut(tmp_path: Path) -> None:
    path = made.write_eval(tmp_path / "x.eval", [made.inspect_sample("a", 1, {"match": "C"})])
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="not a whole zip"):
        read(path)
    pytest.importorskip("pyarrow")
    details = tmp_path / f"details_x|0_{made.TIME}.parquet"
    details.write_bytes(b"PAR1" + b"\x00" * 50)
    with pytest.raises(InputError, match="not whole Parquet"):
        read(details)


def test_a_parquet_whose_rows_share_one_huge_text_is_held_a_few_rows_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / f"details_x|0_{made.TIME}.parquet"
    rows = [{"doc": {"id": str(i), "query": "x" * 100_000}, "metric": {"acc": 1}} for i in range(500)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(lighteval, "HELD", 3_000_000)
    read(path)
    monkeypatch.setattr(lighteval, "HELD", 50_000)
    with pytest.raises(InputError, match="this is not a log"):
        read(path)


def test_a_folder_of_no_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "FILES", 3)
    for number in range(5):
        (tmp_path / f"{number}.txt").touch()
    with pytest.raises(InputError, match="more than 3 files"):
        read(tmp_path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)

PARQUET = f"details_x|0_{made.TIME}.parquet"


def refused_or_read(path: Path) -> None:
    """Whatever a log holds, it is read or refused in one line."""
    with suppress(InputError):
        read(path)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "doc_id",
                "doc",
                "filter",
                "metrics",
                "acc",
                "arguments",
                "doc_hash",
                "task",
                "id",
                "metric",
                "score",
                "better",
                "cluster",
                "evaluation_id",
                "sample_id",
                "evaluation",
                "input",
                "metadata",
            ]
        ),
        VALUES,
    ),
    st.sampled_from(["doc_id", "task", "evaluation"]),
)
def test_any_row_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, row: dict[str, Any], kind: str) -> None:
    start: dict[str, dict[str, Any]] = {
        "doc_id": {"doc_id": 0, "metrics": ["acc"], "acc": 1.0},
        "task": {"task": "a", "id": 1, "metric": "m", "score": 1},
        "evaluation": {"evaluation_id": "e", "sample_id": "s", "evaluation": {}},
    }
    path = tmp_path_factory.mktemp("any") / "x.jsonl"
    refused_or_read(made.write_lines(path, [start[kind] | row, start[kind] | row]))


@given(
    st.dictionaries(st.sampled_from(["version", "status", "eval", "plan", "results", "samples", "error"]), VALUES),
    st.dictionaries(st.sampled_from(["id", "epoch", "scores", "input", "messages", "metadata", "error"]), VALUES),
)
def test_any_inspect_log_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, header: dict[str, Any], sample: dict[str, Any]
) -> None:
    log = made.inspect_log([made.inspect_sample("a", 1, {"m": "C"}) | sample])
    path = tmp_path_factory.mktemp("any") / "x.json"
    path.write_text(json.dumps(log | header))
    refused_or_read(path)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    for name, start in (("x.jsonl", b""), ("x.json", b""), ("x.eval", b"PK\3\4"), (PARQUET, b"PAR1")):
        (folder / name).write_bytes(start + raw + start)
        refused_or_read(folder / name)


def test_numbers_beyond_all_measure_are_left_out(tmp_path: Path) -> None:
    values = {"acc": 1e308, "byte_perplexity": [-1e9, 1], "bits_per_byte": [-1e9, 0]}
    rows = [made.lm_eval_row(i, values) for i in range(3)] + [made.lm_eval_row(3, {"acc": 1.0})]
    log = made.write_lm_eval(tmp_path / "b", {"arith": rows})
    side = read_side("base", str(log), find_runs(str(log), None), {})
    found = pair(side, side, None, other_prompts=False)
    assert [one.ids for one in found.series] == [["3"]]
    assert "too large" in found.skipped["arith", "byte_perplexity"]
