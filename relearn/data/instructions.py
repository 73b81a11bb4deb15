"""Code problems and general instructions: prompt, response, tests, and the problem each row belongs to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

from relearn.data.apart import Apart
from relearn.data.reading import SPLITS, Reading, choose, report, rows_of
from relearn.data.select import Candidate, Pool, digest, normalise
from relearn.data.table import Row, Table
from relearn.errors import InputError
from relearn.params.groups import Counts, HubInstructions, InstructionColumns, MaxChars
from relearn.records import Original

_NO_INPUT = ("", "not applicable", "not applicable.")


def instructions(
    task: Literal["code", "general"],
    table: Table,
    columns: InstructionColumns | HubInstructions,
    counts: Counts,
    longest: MaxChars,
    seed: int,
    apart: Apart,
) -> tuple[list[Original], dict[str, Any]]:
    """The rows of a table, split by problem and shuffled, and their counts; InputError as in `relearn.data.load`.

    The problem is what the group column says; without one it is the instruction (its input set aside), normalised.
    """
    tests = columns.tests if isinstance(columns, InstructionColumns) else None
    group = columns.group if isinstance(columns, InstructionColumns) else None
    optional = [column for column in (columns.input, tests, group) if column is not None]

    def read(limit: int) -> tuple[Reading, dict[str, Pool[Original]]]:
        reading = Reading(table)
        pool: Pool[Original] = Pool(limit)
        seen: set[int] = set()
        problem_of: dict[int, int] = {}
        for number, row in table.rows([columns.instruction, columns.response, *optional]):
            reading.rows += 1
            instruction = reading.text(number, row, columns.instruction)
            response = None if instruction is None else reading.text(number, row, columns.response)
            name = None if instruction is None else _group(reading, number, row, group, task, instruction)
            if instruction is None or response is None or name is None:
                continue
            prompt = _prompt(reading, number, row, columns.input, instruction)
            if prompt is None:
                continue
            if len(prompt) > longest.instruction or len(response) > longest.response:
                reading.skip("too_long")
                continue
            problem, asked = digest("problem", name), digest("prompt", normalise(prompt))
            identity = digest(task, normalise(prompt), normalise(response))
            # the same prompt under another problem's name could otherwise reach another split
            if identity in seen or problem_of.setdefault(asked, problem) != problem:
                reading.skip("duplicate")
                continue
            seen.add(identity)
            reason = apart.exactly(prompt)
            if reason is not None:
                reading.skip(reason)
                continue
            original = Original(
                id=f"{task}-{identity:016x}",
                task=task,
                instruction=prompt,
                response=response,
                tests=(
                    []
                    if tests is None
                    else assertions(row[tests], f"{reading.table.where(number)}: column {tests!r}")
                ),
                group=name,
                split="train",
            )
            rank = digest(str(seed), str(problem)), digest(str(seed), str(identity))
            pool.add(Candidate(rank, number, problem, original))
        return reading, {task: pool}

    reading, picked = choose(read, counts, task, apart, lambda original: original.instruction)
    rows = [original.model_copy(update={"split": split}) for split, original in rows_of(picked)]
    return rows, report(reading, picked) | {"splits": by_split(rows), "groups": groups(rows)}


def _group(
    reading: Reading, number: int, row: Row, column: str | None, task: str, instruction: str
) -> str | None:
    if column is None:
        return f"{task}-{digest('instruction', normalise(instruction)):016x}"
    value = row[column]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    text = reading.text(number, row, column)
    return None if text is None else text.strip()


def _prompt(reading: Reading, number: int, row: Row, column: str | None, instruction: str) -> str | None:
    """The instruction, and its input after a blank line where it has one; None when the input is not text."""
    if column is None or row[column] is None:
        return instruction
    value = row[column]
    if isinstance(value, str) and value.strip().casefold() in _NO_INPUT:
        return instruction
    extra = reading.text(number, row, column)
    return None if extra is None else f"{instruction}\n\n{extra}"


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


def by_split(rows: Iterable[Original]) -> dict[str, int]:
    """Rows by split."""
    found = [row.split for row in rows]
    return {split: found.count(split) for split in SPLITS}


def groups(rows: Iterable[Original]) -> dict[str, int]:
    """Problems by split."""
    found = {(row.split, row.group) for row in rows}
    return {split: sum(1 for where, _ in found if where == split) for split in SPLITS}
