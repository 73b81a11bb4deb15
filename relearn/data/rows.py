"""Finished rows: the conversation, its tests, and the problem each row belongs to."""

from __future__ import annotations

from relearn.data.conversations import CONTEXT, BadTurns, add_context, read_conversation
from relearn.data.instruction_rows import assertions, is_no_input, with_input
from relearn.data.reading import Chooser, TableReading
from relearn.data.select import Candidate, Pool, digest, normalise
from relearn.data.split_guard import SplitGuard
from relearn.data.table import Table, TableRow
from relearn.params.prepare import InstructionColumns, MessageColumns, TaskRows
from relearn.records import Message, Role, Row


def choose_rows(
    task: str,
    role: Role,
    table: Table,
    columns: InstructionColumns | MessageColumns,
    counts: TaskRows,
    seed: int,
    guard: SplitGuard,
) -> Chooser[Row]:
    """The rows of a table, to be split by problem; InputError as in `relearn.data.load`.

    The problem is what the group column says; without one it is the instruction (its input set aside) or the opening
    question, normalised.
    """
    longest = counts.max_chars
    if isinstance(columns, MessageColumns):
        named = [columns.messages, columns.tests, columns.group]
    else:
        named = [columns.instruction, columns.response, columns.input, columns.tests, columns.group]
    wanted = [name for name in named if name is not None]

    def read(limit: int) -> tuple[TableReading, dict[str, Pool[Row]]]:
        reading = TableReading(table)
        pool: Pool[Row] = Pool(limit)
        seen: set[int] = set()
        problem_of: dict[int, int] = {}
        for number, cells in table.rows(wanted, CONTEXT):
            reading.rows += 1
            found = _read_messages(reading, number, cells, columns)
            if found is None:
                continue
            messages, opening = found
            try:
                messages = add_context(messages, cells, wanted)
            except BadTurns as fault:
                reading.refuse(number, "bad_messages", str(fault))
                continue
            if columns.group is None:
                name: str | None = f"{task}-{digest('instruction', normalise(opening)):016x}"
            else:
                name = reading.text_or_number(number, cells, columns.group)
            if name is None:
                continue
            row = Row(
                id="", task=task, role=role, group=name, split="train", messages=messages,
                tests=[] if columns.tests is None else assertions(cells[columns.tests], f"{table.where(number)}: column {columns.tests!r}"),
            )  # fmt: skip
            prompt = row.instruction
            if (longest.prompt is not None and len(prompt) > longest.prompt) or (
                longest.response is not None and len(row.response) > longest.response
            ):
                reading.skip("too_long")
                continue
            problem, asked = digest("problem", name), digest("prompt", normalise(prompt))
            identity = digest(task, normalise(prompt), normalise(row.response))
            # the same prompt under another problem's name could otherwise reach another split
            if identity in seen or problem_of.setdefault(asked, problem) != problem:
                reading.skip("duplicate")
                continue
            seen.add(identity)
            reason = guard.find_exact(prompt)
            if reason is not None:
                reading.skip(reason)
                continue
            reading.prompts.add(digest(normalise(prompt)))
            rank = digest(str(seed), str(problem)), digest(str(seed), str(identity))
            row = row.model_copy(update={"id": f"{task}-{identity:016x}"})
            pool.add(Candidate(rank, number, problem, row))
        return reading, {task: pool}

    return Chooser(task, counts, guard, read, lambda row: row.instruction)


def _read_messages(
    reading: TableReading, number: int, cells: TableRow, columns: InstructionColumns | MessageColumns
) -> tuple[list[Message], str] | None:
    """The messages of a row and its opening question; None where the row is left out."""
    if isinstance(columns, MessageColumns):
        try:
            messages = read_conversation(cells[columns.messages])
        except BadTurns as fault:
            reading.refuse(number, "bad_messages", f"column {columns.messages!r}: {fault}")
            return None
        return messages, next(turn.content for turn in messages if turn.role == "user")
    instruction = reading.text(number, cells, columns.instruction)
    response = None if instruction is None else reading.text(number, cells, columns.response)
    if instruction is None or response is None:
        return None
    prompt: str | None = instruction
    if columns.input is not None and not is_no_input(cells[columns.input]):
        extra = reading.text(number, cells, columns.input)
        prompt = None if extra is None else with_input(instruction, extra)
    if prompt is None:
        return None
    return [Message(role="user", content=prompt), Message(role="assistant", content=response)], instruction
