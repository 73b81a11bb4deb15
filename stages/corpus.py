"""The rows that the training and decoding stages share: who learns what, and whose loss is watched."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from relearn.errors import InputError
from relearn.files import read_jsonl
from relearn.records import Instruction, Message, Original, Record, Review, Split, make_turns
from stages.paths import Paths

Conversation = list[Message]
Row = TypeVar("Row", bound=Record)


def read_original(paths: Paths, task: str, split: Split) -> list[Original]:
    """The rows of one original task and split."""
    return [row for row in read_jsonl(paths.original, Original) if row.task == task and row.split == split]


def read_instructions(paths: Paths, split: Split) -> list[Instruction]:
    """The rows of the new task of one split."""
    return [row for row in read_jsonl(paths.instructions, Instruction) if row.split == split]


def read_reviews(paths: Paths, split: Split) -> list[Review]:
    """The reviews of one split."""
    return [row for row in read_jsonl(paths.reviews, Review) if row.split == split]


def require_rows(rows: list[Row], file: Path, what: str) -> list[Row]:
    """The rows, of which there must be one at least; InputError names the file and what it should hold."""
    if not rows:
        raise InputError(
            f"{file}: no row of {what}, so there is nothing to learn; run the stage that writes it (dvc repro)"
        )
    return rows


def read_old_to_learn(paths: Paths) -> list[Conversation]:
    """The training rows of replayed tasks; none where no task is replayed."""
    return as_conversations(read_original(paths, "code", "train"))


def read_new_to_learn(paths: Paths) -> list[Conversation]:
    """The training rows of the new tasks; InputError where there are none."""
    return as_conversations(require_rows(read_instructions(paths, "train"), paths.instructions, "split train"))


def as_conversations(rows: list[Original] | list[Instruction]) -> list[Conversation]:
    """The turns of each row."""
    return [make_turns(row.instruction, row.response) for row in rows]


def list_texts(conversation: Conversation) -> list[str]:
    """The roles and texts of a conversation's turns."""
    return [text for turn in conversation for text in (turn.role, turn.content)]


def read_watched(paths: Paths, with_reviews: bool) -> dict[str, list[Conversation]]:
    """The held-out rows whose loss is looked at while training, by task; empty tasks are left out."""
    found = {task: as_conversations(read_original(paths, task, "val")) for task in ("code", "general")}
    if with_reviews:
        found["reviews"] = as_conversations(read_instructions(paths, "val"))
    return {task: rows for task, rows in found.items() if rows}
