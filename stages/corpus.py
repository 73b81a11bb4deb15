"""The rows that the training and decoding stages share: who learns what, and whose loss is watched.

A task's role is in its rows: the stages that train track no names of tasks.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from relearn.errors import InputError
from relearn.files import read_jsonl
from relearn.records import Message, NewRow, Role, Row, Source, Split
from stages.paths import Paths

Conversation = list[Message]
T = TypeVar("T")


def read_old(paths: Paths, split: Split, *roles: Role) -> list[Row]:
    """The rows of the old tasks of these roles, train or val, in the order of the file."""
    return [row for row in read_jsonl(paths.train, Row) if row.split == split and row.role in roles]


def read_new(paths: Paths, split: Split) -> list[NewRow]:
    """The rows of the new tasks, train or val."""
    return [row for row in read_jsonl(paths.instructions, NewRow) if row.split == split]


def read_all_new(paths: Paths) -> list[NewRow]:
    """The rows of the new tasks that a teacher wrote, of all splits, and what came from files for training."""
    return [*read_jsonl(paths.instructions, NewRow), *read_jsonl(paths.held_out_instructions, NewRow)]


def read_held_out(paths: Paths) -> list[Row]:
    """The test rows of every task."""
    return [*read_jsonl(paths.held_out, Row), *read_jsonl(paths.held_out_instructions, NewRow)]


def read_texts(paths: Paths, split: Split) -> list[Source]:
    """What the teacher is shown, train or val."""
    return [text for text in read_jsonl(paths.source_rows, Source) if text.split == split]


def require_rows(rows: Sequence[Row], file: Path, what: str) -> list[Conversation]:
    """The rows' turns, of one row at least; InputError names the file and what it should hold."""
    if not rows:
        raise InputError(
            f"{file}: no row of {what}, so there is nothing to learn; run the stage that writes it (dvc repro)"
        )
    return [row.messages for row in rows]


def read_replayed_to_learn(paths: Paths) -> list[Conversation]:
    """The training rows of the replayed tasks; none where no task is replayed."""
    return [row.messages for row in read_old(paths, "train", "replayed")]


def read_new_to_learn(paths: Paths) -> list[Conversation]:
    """The training rows of the new tasks; InputError where there are none."""
    return require_rows(read_new(paths, "train"), paths.instructions, "split train")


def list_texts(conversation: Conversation) -> list[str]:
    """The roles and texts of a conversation's turns."""
    return [text for turn in conversation for text in (turn.role, turn.content)]


def read_watched(paths: Paths, with_new: bool) -> dict[str, list[Conversation]]:
    """The held-out rows whose loss is looked at while training, by task: replayed tasks, new ones, watched ones."""
    rows: list[Row] = [
        *read_old(paths, "val", "replayed"),
        *(read_new(paths, "val") if with_new else ()),
        *read_old(paths, "val", "watched"),
    ]
    found: dict[str, list[Conversation]] = {}
    for row in rows:
        found.setdefault(row.task, []).append(row.messages)
    return found


def draw(rows: Sequence[T], most: int | None, generator: random.Random) -> list[T]:
    """At most so many of the rows, drawn, in their order; all of them where there are no more, or for None."""
    if most is None or len(rows) <= most:
        return list(rows)
    return [rows[place] for place in sorted(generator.sample(range(len(rows)), most))]
