"""Names and roles of the tasks, and what people call them."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from relearn.params.group import Group, TaskGroup, key
from relearn.records import Role

TaskName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
RESERVED = ("step", "train", "probe", "pooled", "human", "judge", "base", "old", "new")  # columns and rows of tables


class Task(Group):
    """What the chain does with a task."""

    role: Role = key(
        "new: taught in the first round. replayed: an old skill that the second round trains on again. "
        "watched: an old skill that nobody replays."
    )


class TaskWords(Group):
    """A task in words for people."""

    label: str = key("What tables and plots call it.", min_length=1)
    about: str = key("What it is, in half a sentence.", min_length=1)


class TasksInWords(TaskGroup[TaskWords]):
    """Words for the tasks that should not go by their names."""


class Report(Group):
    """Words for people; no other stage reads them."""

    caption: str | None = key(
        "Shown under the table, such as what of this is real and what is invented; null for nothing."
    )
    tasks: TasksInWords
