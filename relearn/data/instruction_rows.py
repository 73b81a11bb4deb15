"""Rows of instruction files: what is asked, what a right answer is, its tests, and which rows belong together.

Where nobody says what the columns are called, they are found by the names that instruction data sets use, or as chat
messages.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relearn.data.conversations import CONTEXT, BadTurns, add_context, is_missing, read_turns
from relearn.data.files import FileTable
from relearn.data.select import normalise
from relearn.data.table import TableRow
from relearn.errors import InputError
from relearn.records import Message, show_turns

# What the fields are called in the wild; the first that a row holds is taken.
ALIASES: dict[str, tuple[str, ...]] = {
    "instruction": ("instruction", "prompt", "question", "query"),
    "input": ("input", "context"),
    "response": ("response", "output", "answer", "completion", "reference", "target"),
    "tests": ("tests", "test_list"),
    "group": ("group", "family"),
    "id": ("id", "task_id"),
    "messages": ("messages", "conversations"),
}
KNOWN = {*CONTEXT, *(name for names in ALIASES.values() for name in names)}
# What data sets in the manner of Alpaca write where there is no input, and what pandas does.
NO_INPUT = (
    "",
    "not applicable",
    "not applicable.",
    "n/a",
    "n/a.",
    "nan",
    "none",
    "null",
    "<noinput>",
    "<no input>",
    "no input",
)


@dataclass(frozen=True)
class HeldOutRow:
    """One held-out prompt. `id` is its own in the whole comparison; `group` the cluster that is resampled with it."""

    id: str
    task: str
    group: str
    prompt: tuple[Message, ...]
    reference: str | None
    tests: tuple[str, ...]

    @property
    def instruction(self) -> str:
        """The prompt for people."""
        return show_turns(list(self.prompt))


def read_held_out(path: Path, task: str, limit: int | None = None, seed: int = 0) -> list[HeldOutRow]:
    """The rows of a file in its order, or `limit` of them drawn under the seed.

    A row without a response stays (null or empty): it is measured by what needs no reference. Without a group, rows
    with the same instruction, inputs set aside, make one. Raises InputError, naming file, line and column, when a
    row cannot be understood, an id comes twice, or no row has a response.
    """
    table = FileTable(path)
    rows: list[HeldOutRow] = []
    seen: dict[str, str] = {}
    for number, cells in table.rows([], KNOWN):
        row = _row(table.where(number), number, cells, task)
        if row.id in seen:
            raise InputError(
                f"{table.where(number)}: id {row.id.removeprefix(task + '/')!r} is also in {seen[row.id]}; "
                "give each row its own, or leave ids out"
            )
        seen[row.id] = table.where(number).removeprefix(f"{path}, ")
        rows.append(row)
    if not rows:
        raise InputError(f"{path}: holds no rows; expected instructions with responses")
    if not any(row.reference for row in rows):
        raise InputError(f"{path}: no row has a response; name its column one of {', '.join(ALIASES['response'])}")
    if limit is not None and limit < len(rows):
        chosen = sorted(random.Random(seed).sample(range(len(rows)), limit))
        rows = [rows[index] for index in chosen]
    return rows


def _row(where: str, number: int, cells: TableRow, task: str) -> HeldOutRow:
    messages = _cell(cells, "messages")
    if messages is not None:
        try:
            turns = read_turns(messages)
        except BadTurns as fault:
            raise InputError(f"{where}: {_name(cells, 'messages')}: {fault}") from None
        reference = turns.pop().content if turns[-1].role == "assistant" else None
        alone = next(turn.content for turn in turns if turn.role == "user")
    else:
        alone = _text(where, cells, "instruction") or ""
        if not alone.strip():
            found = ", ".join(map(str, cells)) or "none"
            raise InputError(
                f"{where}: no instruction; name its column one of {', '.join(ALIASES['instruction'])} "
                f"(or give messages); the columns recognised here are {found}"
            )
        reference = _text(where, cells, "response")
        extra = _text(where, cells, "input")
        asked = alone if extra is None or is_no_input(extra) else with_input(alone, extra)
        turns = [Message(role="user", content=asked)]
    try:
        turns = add_context(turns, cells)
    except BadTurns as fault:
        raise InputError(f"{where}: {fault}") from None
    tests = _cell(cells, "tests")
    return HeldOutRow(
        id=f"{task}/{_scalar(where, cells, 'id') or number}",
        task=task,
        group=_scalar(where, cells, "group") or normalise(alone),
        prompt=tuple(turns),
        reference=reference if reference and reference.strip() else None,
        tests=tuple(assertions(tests, f"{where}: {_name(cells, 'tests')}")) if tests is not None else (),
    )


def _cell(cells: TableRow, field: str) -> Any:
    return next((cells[name] for name in ALIASES[field] if not is_missing(cells.get(name))), None)


def _name(cells: TableRow, field: str) -> str:
    return next(name for name in ALIASES[field] if not is_missing(cells.get(name)))


def _text(where: str, cells: TableRow, field: str) -> str | None:
    value = _cell(cells, field)
    if value is None or isinstance(value, str):
        return value
    raise InputError(f"{where}: {_name(cells, field)} holds {type(value).__name__}, not text; write a string")


def _scalar(where: str, cells: TableRow, field: str) -> str:
    value = _cell(cells, field)
    if value is None:
        return ""
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise InputError(
        f"{where}: {_name(cells, field)} holds {type(value).__name__}, not text or a number; write one of them"
    )


def is_no_input(value: object) -> bool:
    """Whether an `input` cell is empty, or says so as data sets in the manner of Alpaca do."""
    return is_missing(value) or (isinstance(value, str) and value.strip().casefold() in NO_INPUT)


def with_input(instruction: str, extra: str) -> str:
    """The instruction, and its input after a blank line."""
    return f"{instruction}\n\n{extra}"


def assertions(value: Any, where: str) -> list[str]:
    """Python assertions: a list of strings, or a string that holds such a list as JSON, or else one test.

    None holds none. Raises InputError, which begins with `where`, for anything else.
    """
    if value is None:
        return []
    if isinstance(value, str):
        try:
            listed = json.loads(value)
        except ValueError:
            listed = None
        value = listed if isinstance(listed, list) else [value]
    if not isinstance(value, list) or not all(isinstance(test, str) for test in value):
        raise InputError(f"{where} does not hold Python assertions; write a list of strings, or one string")
    return [test for test in value if test.strip()]
