"""Row files as people have them: read rightly, or refused with the true cause in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from relearn.data.files import FileTable
from relearn.data.instruction_rows import read_held_out
from relearn.data.rows import choose_rows
from relearn.data.split_guard import SplitGuard
from relearn.data.texts import choose_texts
from relearn.errors import InputError
from relearn.params.prepare import InstructionColumns, TaskRows, TextColumns


def jsonl(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def ask(path: Path) -> list[tuple[str, str | None]]:
    """(the prompt for people, the answer) of each row."""
    return [(row.instruction, row.reference) for row in read_held_out(path, "old")]


def refuse(path: Path) -> str:
    with pytest.raises(InputError) as refused:
        read_held_out(path, "old")
    assert "\n" not in str(refused.value)
    return str(refused.value)


ROW = {"instruction": "And squared?", "output": "Nine."}
BEFORE = "system: You count.\n\nuser: Root of 81?\n\nassistant: Nine.\n\nuser: And squared?"


@pytest.mark.parametrize(
    "more",
    [
        {"system": "You count.", "history": [["Root of 81?", "Nine."]]},
        {"system_prompt": "You count.", "history": '[["Root of 81?", "Nine."]]'},
    ],
)
def test_system_and_history_are_part_of_the_prompt(tmp_path: Path, more: dict[str, Any]) -> None:
    assert ask(jsonl(tmp_path / "a.jsonl", {**ROW, **more})) == [(BEFORE, "Nine.")]


@pytest.mark.parametrize("more", [{"system": "", "history": []}, {"system": None, "history": None}, {"history": ""}])
def test_an_empty_context_is_none(tmp_path: Path, more: dict[str, Any]) -> None:
    assert ask(jsonl(tmp_path / "a.jsonl", {**ROW, **more})) == [("And squared?", "Nine.")]


def test_a_system_column_beside_messages_is_read(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Salut."}]
    path = jsonl(tmp_path / "a.jsonl", {"conversations": turns, "system": "Speak French."})
    assert ask(path) == [("system: Speak French.\n\nuser: Hi?", "Salut.")]
    own = [{"from": "system", "value": "Speak French."}, *turns]
    assert ask(jsonl(path, {"conversations": own, "system": "Speak French."})) == ask(
        jsonl(path, {"conversations": own})
    )
    assert "two system messages" in refuse(jsonl(path, {"conversations": own, "system": "Speak Greek."}))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"history": ["Root of 81?"]}, "history is not a list of"),
        ({"history": [["Root of 81?", ""]]}, "history is not a list of"),
        ({"history": "earlier"}, "history is not a list of"),
        ({"system": 3}, "system holds int"),
    ],
)
def test_a_context_that_cannot_be_read_is_refused(tmp_path: Path, more: dict[str, Any], reason: str) -> None:
    assert f"line 1: {reason}" in refuse(jsonl(tmp_path / "a.jsonl", {**ROW, **more}))


@pytest.mark.parametrize(
    "nothing", ["N/A", "n/a", "nan", "NaN", "<noinput>", "<NoInput>", "None", "null", "", " ", float("nan"), None]
)
def test_what_says_no_input_is_none(tmp_path: Path, nothing: Any) -> None:
    assert ask(jsonl(tmp_path / "a.jsonl", {**ROW, "input": nothing})) == [("And squared?", "Nine.")]


def test_what_only_looks_like_no_input_stays(tmp_path: Path) -> None:
    for text in ("NA", "no", "N/A or none?", "nanometres"):
        assert ask(jsonl(tmp_path / "a.jsonl", {**ROW, "input": text})) == [(f"And squared?\n\n{text}", "Nine.")]


def test_pandas_missing_cells_are_missing(tmp_path: Path) -> None:
    frame = pd.DataFrame({"instruction": ["a", "b"], "input": ["x", float("nan")], "output": ["1", float("nan")]})
    frame.to_parquet(tmp_path / "a.parquet")
    assert ask(tmp_path / "a.parquet") == [("a\n\nx", "1"), ("b", None)]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.csv", "instruction;output\nSay one;One, two\n", "line 1: the cells are separated by semicolons"),
        ("a.csv", "instruction\toutput\nSay one\tOne\n", "line 1: the cells are separated by tabs, but commas separate those of a .csv file; name it .tsv"),
        ("a.csv", "instruction|output\nSay one|One\n", "line 1: the cells are separated by bars"),
        ("a.tsv", "instruction,output\nSay one,One\n", "line 1: the cells are separated by commas"),
        ("a.csv", "sep=;\ninstruction;output\nSay one;One\n", "line 1: holds Excel's `sep=`"),
        ("a.csv", "instruction,output\rSay one,One\r", "lines end with carriage returns alone"),
        ("a.csv", "instruction,output\nSay one,One\rtwo\nSay two,Two\n", "an unquoted cell holds a lone carriage return"),
    ],
)  # fmt: skip
def test_a_csv_message_names_the_true_cause(tmp_path: Path, name: str, text: str, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode())
    assert reason in refuse(path)


def test_one_column_is_no_other_separator(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("instruction\nSay one\n")
    assert "no row has a response" in refuse(path)


def test_the_chain_reads_system_and_history_too(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = [f'Count {n}?,Number {n}.,You count.,"[[""Ready?"", ""Yes.""]]"' for n in range(12)]
    path.write_text("instruction,output,system,history\n" + "\n".join(lines) + "\n")
    columns = InstructionColumns(
        form="instructions", instruction="instruction", response="output", input=None, tests=None, group=None
    )
    source = {"kind": "files", "path": "a.csv", "columns": columns.model_dump()}
    counts = TaskRows.model_validate(
        {"source": source, "train": 4, "val": 1, "test": 1, "max_chars": {"prompt": None, "response": None}}
    )
    chosen = choose_rows("count", "watched", FileTable(path), columns, counts, 1, SplitGuard(None)).fill("train")
    assert [message.role for message in chosen[0].messages] == ["system", "user", "assistant", "user", "assistant"]
    assert chosen[0].instruction.startswith("system: You count.\n\nuser: Ready?")
    path.write_text("instruction,output,system\n" + "".join(f"Count {n}?,Number {n}.,\n" for n in range(12)))
    alone = choose_rows("count", "watched", FileTable(path), columns, counts, 1, SplitGuard(None)).fill("train")
    assert {len(row.messages) for row in alone} == {2}


# --- the cases beside the real data ------------------------------------------------------------------------

CMP = {
    "alpaca_history.jsonl": "system: You are a calculator.\n\nuser: What is 2+2?\n\nassistant: Four.\n\nuser: And doubled?",
    "sharegpt_systemfield.jsonl": "system: Answer in French only.\n\nuser: What is 2+2?",
    "messages_parts.jsonl": "What is 2+2?",
    "alpaca_empty.jsonl": "What is 2+2?",
    "nan.csv": "What is 2+2?",
    "nan.jsonl": "What is 2+2?",
    "naninput.parquet": "a",
    "u2028.jsonl": "a\u2028b",
}
CAUSES = {
    "cr_only.csv": "carriage returns alone",
    "semicolon.csv": "separated by semicolons",
    "semicolon_bom_excel.csv": "Excel's `sep=`",
    "sep_line.csv": "Excel's `sep=`",
    "tabs_named_csv.csv": "separated by tabs",
    "utf16.csv": "not UTF-8",
    "cp1252.csv": "not UTF-8",
    "array.json": "save it as JSON Lines",
}


def attempt(read: Callable[[], list[Any]]) -> tuple[list[Any], str]:
    """What was read, or why it was refused."""
    try:
        return read(), ""
    except InputError as error:
        return [], str(error)


def test_the_shared_rows(shared_cases: Path) -> None:
    folder = shared_cases / "files" / "cmp"
    for name, prompt in CMP.items():
        assert ask(folder / name)[0][0] == prompt, name
    for file in sorted(folder.iterdir()):
        found, why = attempt(partial(ask, file))
        assert bool(found) != bool(why), file.name
        assert CAUSES.get(file.name, "") in why, file.name
        assert all(not prompt.casefold().endswith(("\n\nnan", "\n\nn/a", "\n\n<noinput>")) for prompt, _ in found)


def test_the_shared_sources(shared_cases: Path) -> None:
    columns = TextColumns(form="texts", text="review", label="sentiment")
    source = {"kind": "files", "path": "x.csv", "columns": columns.model_dump()}
    counts = TaskRows.model_validate(
        {"source": source, "train": 4, "val": 2, "test": 2, "max_chars": {"prompt": 4000, "response": None}}
    )

    def choose(file: Path) -> list[Any]:
        chooser = choose_texts("reviews", FileTable(file), columns, counts, 1, SplitGuard(None))
        return chooser.fill("train", "val", "test")

    read = 0
    for file in sorted((shared_cases / "files" / "prep").iterdir()):
        chosen, why = attempt(partial(choose, file))
        assert bool(chosen) != bool(why), file.name
        assert CAUSES.get(file.name, "") in why, file.name
        assert len({row.label for row in chosen}) in (0, 2), file.name
        assert all("<br" not in row.fields["text"] for row in chosen)
        read += bool(chosen)
    assert read == 19
