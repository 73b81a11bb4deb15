"""The rows that the training and decoding stages share: who learns what, and whose loss is watched."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from relearn.errors import InputError
from relearn.files import read_jsonl
from relearn.records import Instruction, Original, Record, Review, Split
from stages import paths

Pair = tuple[str, str]
Row = TypeVar("Row", bound=Record)


def original(task: str, split: Split) -> list[Original]:
    """The rows of one original task and split."""
    return [row for row in read_jsonl(paths.ORIGINAL, Original) if row.task == task and row.split == split]


def instructions(split: Split) -> list[Instruction]:
    """The rows of the new task of one split."""
    return [row for row in read_jsonl(paths.INSTRUCTIONS, Instruction) if row.split == split]


def reviews(split: Split) -> list[Review]:
    """The reviews of one split."""
    return [row for row in read_jsonl(paths.REVIEWS, Review) if row.split == split]


def learned(rows: list[Row], file: Path, what: str) -> list[Row]:
    """The rows, of which there must be one at least; InputError names the file and what it should hold."""
    if not rows:
        raise InputError(
            f"{file}: no row of {what}, so there is nothing to learn; run the stage that writes it (dvc repro)"
        )
    return rows


def code_to_learn() -> list[Pair]:
    """The training pairs of the code task; InputError where there are none."""
    return pairs(learned(original("code", "train"), paths.ORIGINAL, "task code, split train"))


def replies_to_learn() -> list[Pair]:
    """The training pairs of the new task; InputError where there are none."""
    return pairs(learned(instructions("train"), paths.INSTRUCTIONS, "split train"))


def pairs(rows: list[Original] | list[Instruction]) -> list[Pair]:
    """(instruction, response) of each row."""
    return [(row.instruction, row.response) for row in rows]


def watched(with_reviews: bool) -> dict[str, list[Pair]]:
    """The held-out pairs whose loss is looked at while training, by task; empty tasks are left out."""
    found = {task: pairs(original(task, "val")) for task in ("code", "general")}
    if with_reviews:
        found["reviews"] = pairs(instructions("val"))
    return {task: rows for task, rows in found.items() if rows}
