"""The rows that the training and decoding stages share: who learns what, and whose loss is watched.

A task's role is in its rows: the stages that train track no names of tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from relearn.errors import InputError
from relearn.files import read_jsonl
from relearn.records import NewRow, Role, Row, Source, Split
from stages.paths import Paths

Pair = tuple[str, str]


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


def require_rows(rows: Sequence[Row], file: Path, what: str) -> list[Pair]:
    """The rows as pairs, of which there must be one at least; InputError names the file and what it should hold."""
    if not rows:
        raise InputError(
            f"{file}: no row of {what}, so there is nothing to learn; run the stage that writes it (dvc repro)"
        )
    return as_pairs(rows)


def read_replayed_to_learn(paths: Paths) -> list[Pair]:
    """The training pairs of the replayed tasks; InputError where there are none."""
    return require_rows(read_old(paths, "train", "replayed"), paths.train, "role replayed, split train")


def read_new_to_learn(paths: Paths) -> list[Pair]:
    """The training pairs of the new tasks; InputError where there are none."""
    return require_rows(read_new(paths, "train"), paths.instructions, "split train")


def as_pairs(rows: Sequence[Row]) -> list[Pair]:
    """(instruction, response) of each row."""
    return [(row.instruction, row.response) for row in rows]


def read_watched(paths: Paths, with_new: bool) -> dict[str, list[Pair]]:
    """The held-out pairs whose loss is looked at while training, by task."""
    rows: list[Row] = read_old(paths, "val", "replayed", "watched")
    if with_new:
        rows += read_new(paths, "val")
    return {
        task: as_pairs([row for row in rows if row.task == task]) for task in dict.fromkeys(row.task for row in rows)
    }
