"""The general families of the mini world: everything the base can do beside code."""

from __future__ import annotations

from relearn.mini import general_tasks_film, general_tasks_knowledge, general_tasks_writing
from relearn.mini.families import Family

FAMILIES: tuple[Family, ...] = (
    *general_tasks_writing.FAMILIES,
    *general_tasks_knowledge.FAMILIES,
    *general_tasks_film.FAMILIES,
)
