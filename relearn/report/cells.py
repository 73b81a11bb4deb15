"""Numbers that remember where they come from, so that a text's every number can be checked against its file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

FORMS: dict[str, Callable[[Any], str]] = {
    "count": "{:,d}".format,
    "score": "{:.3f}".format,
    "change": lambda value: f"{abs(value):.3f}",  # the words around it give its direction
    "signed": lambda value: f"{value:+.3f}".replace("-", "−"),
    "share": lambda value: f"{100 * value:.0f}%".replace("-", "−"),
}


@dataclass(frozen=True)
class Cell:
    """A value inside a JSON document: `place` is `file#pointer`, the pointer as RFC 6901 has it."""

    place: str
    raw: Any

    def __getitem__(self, key: str | int) -> Cell:
        """The member of that name or number; KeyError or IndexError where there is none."""
        step = str(key).replace("~", "~0").replace("/", "~1")
        return Cell(f"{self.place}/{step}", self.raw[key])

    def __iter__(self) -> Iterator[Cell]:
        """The members of a list."""
        return (self[index] for index in range(len(self.raw)))

    def has(self, key: str) -> bool:
        """Whether an object has a member of that name that is not null."""
        return isinstance(self.raw, dict) and self.raw.get(key) is not None


def root_cell(file: str, value: Any) -> Cell:
    """The root of a JSON document."""
    return Cell(f"{file}#", value)


@dataclass(frozen=True)
class Citation:
    """A number as a text shows it: how it was written, its place, and its form (one of FORMS)."""

    text: str
    place: str
    form: str


def format_number(form: str, value: Any) -> str:
    """A value in one of the forms a text uses; TypeError for a value that is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return FORMS[form](value)


@dataclass
class Citations:
    """Writes cells, and keeps what it wrote in order."""

    made: list[Citation] = field(default_factory=list)

    def write(self, cell: Cell, form: str) -> str:
        """The cell's value in the form, noted down."""
        text = format_number(form, cell.raw)
        self.made.append(Citation(text, cell.place, form))
        return text

    def filters(self) -> dict[str, Any]:
        """One Jinja filter a form."""
        return {form: partial(self.write, form=form) for form in FORMS}
