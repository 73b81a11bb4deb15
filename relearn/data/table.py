"""A source of rows, whatever it is stored in: what the readers of this package have in common."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from typing import Protocol

from relearn.errors import InputError

TableRow = Mapping[str, object]


class Table(Protocol):
    """Rows with named columns, which can be read more than once."""

    @property
    def name(self) -> str:
        """How messages call it: the file's path, or the hub's name for it."""

    @property
    def strict(self) -> bool:
        """True for the user's own files, where a bad row is an error; False where bad rows are left out, counted."""

    @property
    def origin(self) -> dict[str, str]:
        """What `metrics/prepare.json` says of it."""

    def where(self, number: int) -> str:
        """The place of a row in a message, from the number that `rows` gave with it."""

    def rows(self, columns: Sequence[str], optional: Container[str] = ()) -> Iterator[tuple[int, TableRow]]:
        """Yields (number, row) in the order stored; each row holds at least `columns`, and those `optional` ones there are.

        Raises InputError when the source is missing or unreadable, or lacks one of the columns.
        """


def no_column(place: str, wanted: str, present: Collection[str]) -> InputError:
    """The error for a column that is not there: says which are, and the nearest name."""
    near = difflib.get_close_matches(wanted.lower(), [name.lower() for name in present], n=1, cutoff=0.6)
    original = next((name for name in present if near and name.lower() == near[0]), None)
    hint = f"; did you mean {original!r}?" if original is not None else "; name one of them in the profile"
    return InputError(f"{place}: no column {wanted!r}; the columns are {', '.join(present) or 'none'}{hint}")
