"""One pass over a table: cells as text, what was left out and why, and the choice of rows made from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from relearn.data.select import FILL_ORDER, SPLITS, Candidate, MoreNeeded, Picked, Pool, pick
from relearn.data.split_guard import SplitGuard
from relearn.data.table import Table, TableRow
from relearn.errors import InputError
from relearn.params.prepare import Counts
from relearn.progress import Progress, say
from relearn.records import Original, Review, Split

T = TypeVar("T", Review, Original)


@dataclass
class TableReading:
    """How many rows a table had, and how many were left out, by reason."""

    table: Table
    rows: int = 0
    left_out: dict[str, int] = field(default_factory=dict)

    def skip(self, reason: str) -> None:
        """Counts a row as left out."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1

    def text(self, number: int, row: TableRow, column: str) -> str | None:
        """The cell as text. One that is empty, or not text, is an error in the user's own file; in somebody else's
        data the row is counted as left out, and None returned."""
        value = row[column]
        if value is None or (isinstance(value, str) and not value.strip()):
            self._bad(number, "empty", f"column {column!r} is empty; fill it in or delete the row")
            return None
        if not isinstance(value, str):
            kind = type(value).__name__
            self._bad(number, "not_text", f"column {column!r} holds {kind}, text is expected; write a string")
            return None
        if not _encodable(value):
            self._bad(number, "not_text", f"column {column!r} holds half a surrogate pair; write the whole character")
            return None
        return value

    def text_or_number(self, number: int, row: TableRow, column: str) -> str | None:
        """The cell as text, which a whole number may be too; else as `text`."""
        value = row[column]
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        text = self.text(number, row, column)
        return None if text is None else text.strip()

    def _bad(self, number: int, reason: str, message: str) -> None:
        if self.table.strict:
            raise InputError(f"{self.table.where(number)}: {message}")
        self.skip(reason)


def _encodable(text: str) -> bool:
    # JSON may hold half of a surrogate pair, which UTF-8 cannot
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def choose(
    read: Callable[[int], tuple[TableReading, dict[str, Pool[T]]]],
    counts: Counts,
    task: str,
    guard: SplitGuard,
    text: Callable[[T], str],
) -> tuple[TableReading, Picked[T]]:
    """Reads with pools of a limited size, larger ones if those do not do, and chooses the rows that `counts` asks for.

    The choice does not depend on the sizes tried. Raises InputError when there are too few rows.
    """
    wanted: dict[Split, int] = {split: getattr(counts, split) for split in FILL_ORDER}
    limit = 2 * sum(wanted.values()) + 64
    while True:
        say(f"reading {task}")
        reading, pools = read(limit)
        try:
            picked = _attempt(pools, wanted, task, guard.copy_empty(), text)
        except MoreNeeded:
            limit *= 4
            continue
        _check_enough(reading, picked, counts, task)
        return reading, picked


def _attempt(
    pools: dict[str, Pool[T]], wanted: dict[Split, int], task: str, guard: SplitGuard, text: Callable[[T], str]
) -> Picked[T]:
    with Progress(f"choosing {task}", sum(wanted.values())) as progress:

        def find_fault(candidate: Candidate[T], split: Split) -> str | None:
            return guard.find_near(text(candidate.row), split)

        def record(candidate: Candidate[T], split: Split) -> None:
            guard.record(text(candidate.row), split)
            progress.update()

        return pick(pools, wanted, find_fault, record)


def iterate_rows(picked: Picked[T]) -> Iterator[tuple[Split, T]]:
    """The chosen rows with their splits: train, val, test."""
    for split in SPLITS:
        for candidate in picked.splits[split]:
            yield split, candidate.row


def _check_enough(reading: TableReading, picked: Picked[T], counts: Counts, task: str) -> None:
    missing = sum(getattr(counts, split) - len(picked.splits[split]) for split in SPLITS)
    if not missing:
        return
    needed = counts.train + counts.val + counts.test
    left_out = {**reading.left_out, **picked.passed}
    why = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(left_out.items()))
    lowest = counts.train - missing
    key = f"prepare.{task}.train to {lowest}" if lowest >= 1 else f"prepare.{task}.train, val and test"
    raise InputError(
        f"{reading.table.name}: {picked.count()} usable rows of {reading.rows} ({why or 'none left out'}), {needed} "
        f"are needed for {task} (train {counts.train}, val {counts.val}, test {counts.test}); lower {key}, or add rows"
    )


def summarise(reading: TableReading, picked: Picked[T]) -> dict[str, Any]:
    """Where the rows came from and went: `rows` is the sum of `left_out` and of what the splits hold."""
    left_out = {**reading.left_out, **picked.passed}
    spare = reading.rows - sum(left_out.values()) - picked.count()
    return {
        "source": reading.table.origin,
        "rows": reading.rows,
        "left_out": dict(sorted(left_out.items())) | {"not_needed": spare},
    }
