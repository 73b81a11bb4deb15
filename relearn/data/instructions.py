"""Code problems and general instructions: prompt, response, tests, and the problem each row belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from relearn.data.instruction_rows import assertions, is_no_input, with_input
from relearn.data.reading import TableReading, choose, iterate_rows, summarise
from relearn.data.select import SPLITS, Candidate, Pool, digest, normalise
from relearn.data.split_guard import SplitGuard
from relearn.data.table import Table, TableRow
from relearn.params.prepare import Counts, HubInstructions, InstructionColumns, MaxChars
from relearn.records import Original


def read_instructions(
    task: Literal["code", "general"],
    table: Table,
    columns: InstructionColumns | HubInstructions,
    counts: Counts,
    longest: MaxChars,
    seed: int,
    guard: SplitGuard,
) -> tuple[list[Original], dict[str, Any]]:
    """The rows of a table, split by problem and shuffled, and their counts; InputError as in `relearn.data.load`.

    The problem is what the group column says; without one it is the instruction (its input set aside), normalised.
    """
    tests = columns.tests if isinstance(columns, InstructionColumns) else None
    group = columns.group if isinstance(columns, InstructionColumns) else None
    optional = [column for column in (columns.input, tests, group) if column is not None]

    def read(limit: int) -> tuple[TableReading, dict[str, Pool[Original]]]:
        reading = TableReading(table)
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
            reason = guard.find_exact(prompt)
            if reason is not None:
                reading.skip(reason)
                continue
            original = Original(
                id=f"{task}-{identity:016x}",
                task=task,
                instruction=prompt,
                response=response,
                tests=(
                    [] if tests is None else assertions(row[tests], f"{reading.table.where(number)}: column {tests!r}")
                ),
                group=name,
                split="train",
            )
            rank = digest(str(seed), str(problem)), digest(str(seed), str(identity))
            pool.add(Candidate(rank, number, problem, original))
        return reading, {task: pool}

    reading, picked = choose(read, counts, task, guard, lambda original: original.instruction)
    rows = [original.model_copy(update={"split": split}) for split, original in iterate_rows(picked)]
    return rows, summarise(reading, picked) | {"splits": count_by_split(rows), "groups": count_groups(rows)}


def _group(
    reading: TableReading, number: int, row: TableRow, column: str | None, task: str, instruction: str
) -> str | None:
    if column is None:
        return f"{task}-{digest('instruction', normalise(instruction)):016x}"
    return reading.text_or_number(number, row, column)


def _prompt(reading: TableReading, number: int, row: TableRow, column: str | None, instruction: str) -> str | None:
    """The instruction and its input; None when the input is not text."""
    value = None if column is None else row[column]
    if column is None or is_no_input(value):
        return instruction
    extra = reading.text(number, row, column)
    return None if extra is None else with_input(instruction, extra)


def count_by_split(rows: Iterable[Original]) -> dict[str, int]:
    """Rows by split."""
    found = [row.split for row in rows]
    return {split: found.count(split) for split in SPLITS}


def count_groups(rows: Iterable[Original]) -> dict[str, int]:
    """Problems by split."""
    found = {(row.split, row.group) for row in rows}
    return {split: sum(1 for where, _ in found if where == split) for split in SPLITS}
