"""The code families of the mini world: Python functions and classes, each with tests that the reference passes."""

from __future__ import annotations

from relearn.mini import code_tasks_lists, code_tasks_numbers, code_tasks_objects, code_tasks_text
from relearn.mini.families import Family

FAMILIES: tuple[Family, ...] = (
    *code_tasks_numbers.FAMILIES,
    *code_tasks_lists.FAMILIES,
    *code_tasks_text.FAMILIES,
    *code_tasks_objects.FAMILIES,
)
