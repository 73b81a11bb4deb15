"""Rows on disk: whole or absent, and each mistake with its line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relearn.errors import InputError
from relearn.files import atomic_write, dump_line, read_jsonl, write_jsonl, write_text
from relearn.records import Drift, Record, Source

ROW = Source(id="a", task="t", group="a", label=None, split="train", fields={"text": "Good."})


@given(st.text())
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    row = ROW.model_copy(update={"fields": {"text": text}})
    assert write_jsonl(file, [row, ROW]) == 2
    assert list(read_jsonl(file, Source)) == [row, ROW]


def test_a_lone_surrogate_survives(tmp_path: Path) -> None:
    # JSON allows it (RFC 8259, section 8.2), UTF-8 does not: such a row is written with escapes.
    row = ROW.model_copy(update={"fields": {"text": "cut \ud83d"}})
    write_jsonl(tmp_path / "rows.jsonl", [row])
    assert [found.fields["text"] for found in read_jsonl(tmp_path / "rows.jsonl", Source)] == ["cut \ud83d"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    write_jsonl(file, [ROW])

    def broken():  # type: ignore[no-untyped-def]
        yield ROW
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_jsonl(file, broken())
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]
    assert file.read_text() == dump_line(ROW) + "\n"


def test_what_killed_writers_left_is_cleared_up_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    others = [tmp_path / ".rows.jsonl.tmp", tmp_path / ".rows.json.abc.tmp", tmp_path / "rows.jsonl.abc.tmp"]
    for other in others:
        other.write_text("")
    script = f"""
import os, signal
from relearn.files import atomic_write
with atomic_write({str(file)!r}) as file:
    file.write("half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    [left] = tmp_path.glob(".rows.jsonl.?*.tmp")
    with atomic_write(file) as living:
        living.write("whole")
        write_jsonl(file, [ROW])  # another writer of the same file at the same time
        assert not left.exists()
    assert file.read_text() == "whole"
    assert sorted(tmp_path.iterdir()) == sorted([*others, file])


def test_files_are_readable_by_others(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.json") as file:
        file.write("{}")
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'{"id": "a", "task": "t", "group": "g", "label": "l", "fields": {}, "split": "train"}\n{"id": 3}\n',
            "line 2: id: Input should be a valid string",
        ),
        (b"{'id': 1}\n", "line 1: not JSON"),
        (b"\n\n[1, 2\n", "line 3: not JSON"),
        (b'{"id": "\xff"}\n', "line 1: not UTF-8"),
        (b'{"id": "a", "task": "t", "group": "g", "label": "l", "fields": {}, "split": "dev"}\n', "line 1: split"),
        (
            b'{"id": "a", "task": "t", "group": "g", "label": "l", "fields": {}, "split": "train", "x": 1}\n',
            "line 1: x: Extra inputs",
        ),
        (b"[" * 100_000, "line 1: not JSON"),
        (b"3\n", "line 1: the row"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(content)
    with pytest.raises(InputError) as error:
        list(read_jsonl(file, Source))
    assert str(error.value).startswith(f"{file}, {message}")
    assert "\n" not in str(error.value)


def _strict(kind: type[Record], line: str) -> Record | None:
    try:
        return kind.model_validate(json.loads(line))
    except ValueError:  # of json, or of pydantic
        return None


WHOLE = dump_line(Drift(id="a", task="t", group="g", model="2b", seed=None, tokens=3, divergence=0.5))
VALUES = st.sampled_from([
    "0", "-1", "1.0", "1e400", "9" * 30, "NaN", "Infinity", "true", "null",
    '"3"', '"\\ud83d"', "[]", "{}", "01", "", "+1", "'a'",
])  # fmt: skip


@given(
    st.sampled_from(["id", "seed", "tokens", "divergence", "other"]),
    VALUES,
    st.sampled_from(["", " ", ",", "}", "\x00", "\x85"]),
)
def test_a_row_is_read_as_json_and_a_strict_model_would_read_it(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: str, end: str
) -> None:
    # Two readers of JSON are at work: what one of them refuses the other decides. Of a key that comes twice, the last counts.
    line = f'{WHOLE[:-1]}, "{key}": {value}}}{end}'
    file = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    file.write_text(line + "\n", encoding="utf-8")
    expected = _strict(Drift, line)
    try:
        (found,) = read_jsonl(file, Drift)
    except InputError:
        assert expected is None
    else:
        assert found == expected


def test_a_pipe_and_a_descriptor_are_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True) as reader:
        write_text(pipe, "to the pipe")
        assert reader.communicate(timeout=20)[0] == "to the pipe"
    assert pipe.is_fifo()
    file = tmp_path / "file"
    with open(file, "w") as opened:  # as `> file` and --out /dev/stdout do, and what is printed next
        write_text(f"/dev/fd/{opened.fileno()}", "first,")
        opened.write(" second")
    assert file.read_text() == "first, second"


def test_an_error_names_the_file_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IsADirectoryError) as caught:
        write_text("folder", "text")
    assert caught.value.filename == "folder"
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


def test_a_million_rows_take_the_same_memory_changed_or_new() -> None:
    # pydantic keeps the names of the given fields with each row that is copied: 470 bytes more than the 360 of the copy.
    def measure(make: Callable[[], Source]) -> int:
        tracemalloc.start()
        rows = [make() for _ in range(200)]
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return taken // len(rows)

    changed = measure(lambda: ROW.model_copy(update={"split": "test"}))
    new = measure(lambda: Source(id="a", task="t", group="a", label=None, split="test", fields=ROW.fields))
    assert changed < 1.2 * new


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(read_jsonl(tmp_path / "none.jsonl", Source))
    with pytest.raises(InputError, match="is a folder"):
        list(read_jsonl(tmp_path, Source))


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(dump_line(ROW), encoding="utf-8-sig")
    assert list(read_jsonl(tmp_path / "rows.jsonl", Source)) == [ROW]


def test_rows_and_servers_need_no_model_library() -> None:
    script = """
import sys
import relearn.files, relearn.hub, relearn.models, relearn.endpoint.run, relearn.decoding.endpoint, relearn.teacher.asking
print(sorted({"torch", "transformers", "peft", "datasets", "openai", "numpy"} & set(sys.modules)))
"""
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown == "[]\n"
