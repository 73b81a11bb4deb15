"""One pass over a table: cells as text, what was left out and why, and the choice of rows made from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from relearn.data.conversations import is_missing
from relearn.data.select import SPLITS, Candidate, MoreNeeded, Picker, Pool
from relearn.data.split_guard import SplitGuard
from relearn.data.table import Table, TableRow
from relearn.errors import InputError
from relearn.params.prepare import TaskRows
from relearn.progress import Progress, say
from relearn.records import Row, Source, Split

T = TypeVar("T", Source, Row)


@dataclass
class TableReading:
    """How many rows a table had, how many were left out, by reason, and the prompts of the usable ones, as digests."""

    table: Table
    rows: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    prompts: set[int] = field(default_factory=set)

    def skip(self, reason: str) -> None:
        """Counts a row as left out."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1

    def text(self, number: int, row: TableRow, column: str) -> str | None:
        """The cell as text. One that is empty, or not text, is an error in the user's own file; in somebody else's
        data the row is counted as left out, and None returned."""
        value = row[column]
        if is_missing(value) or (isinstance(value, str) and not value.strip()):
            self.refuse(number, "empty", f"column {column!r} is empty; fill it in or delete the row")
            return None
        if not isinstance(value, str):
            kind = type(value).__name__
            self.refuse(number, "not_text", f"column {column!r} holds {kind}, not text; write a string")
            return None
        if not _encodable(value):
            self.refuse(number, "not_text", f"column {column!r} holds half a surrogate pair; write the whole character")
            return None
        return value

    def text_or_number(self, number: int, row: TableRow, column: str) -> str | None:
        """The cell as text, which a whole number may be too; else as `text`."""
        value = row[column]
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        text = self.text(number, row, column)
        return None if text is None else text.strip()

    def refuse(self, number: int, reason: str, message: str) -> None:
        """A bad row: InputError in the user's own file, left out and counted in somebody else's."""
        if self.table.strict:
            raise InputError(f"{self.table.where(number)}: {message}")
        self.skip(reason)


def _encodable(text: str) -> bool:
    # JSON may hold half of a surrogate pair, which UTF-8 cannot
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


class Chooser(Generic[T]):
    """The rows of one task, read with pools of a limited size, larger ones if those do not do, and chosen by split.

    The choice does not depend on the sizes tried. `read` makes one pass with pools of a size; `text` is what must
    differ between splits; `finish` makes the row of a split from a candidate's.
    """

    def __init__(
        self,
        task: str,
        counts: TaskRows,
        guard: SplitGuard,
        read: Callable[[int], tuple[TableReading, dict[str, Pool[T]]]],
        text: Callable[[T], str],
    ) -> None:
        self.task, self.counts, self.guard = task, counts, guard
        self._read: Callable[[int], tuple[TableReading, dict[str, Pool[T]]]] = read
        self._text: Callable[[T], str] = text
        self._limit = 2 * (counts.train + counts.val + counts.test) + 64
        self._filled: tuple[Split, ...] = ()
        self._progress: Progress
        self._picker: Picker[T]
        self._start()

    def fill(self, *splits: Split) -> list[T]:
        """Fills further splits and returns their rows. Raises InputError when there are too few."""
        self._filled = (*self._filled, *splits)
        pending = splits
        while True:
            try:
                wanted = {split: getattr(self.counts, split) for split in pending}
                with Progress(f"choosing {self.task}", sum(wanted.values())) as progress:
                    self._progress = progress
                    for split, count in wanted.items():
                        self._picker.fill(split, count)
                break
            except MoreNeeded:
                self._limit *= 4
                self._start()
                pending = self._filled
        self._check_enough()
        return [
            candidate.row if candidate.row.split == split else candidate.row.model_copy(update={"split": split})
            for split in splits
            for candidate in self._picker.splits[split]
        ]

    def summarise(self) -> dict[str, Any]:
        """Where the rows came from and went: `rows` is the sum of `left_out` and of what the splits hold."""
        left_out = self._left_out()
        spare = self.reading.rows - sum(left_out.values()) - self._picker.count()
        return {
            "source": self.reading.table.origin,
            "rows": self.reading.rows,
            "left_out": dict(sorted(left_out.items())) | {"not_needed": spare},
        }

    def _start(self) -> None:
        say(f"reading {self.task}")
        self.reading, pools = self._read(self._limit)

        def find_fault(candidate: Candidate[T], split: Split) -> str | None:
            text = self._text(candidate.row)
            return self.guard.find_exact(text, split) or self.guard.find_near(text, split)

        def record(candidate: Candidate[T], split: Split) -> None:
            self.guard.record(self._text(candidate.row), split)
            self._progress.update()

        self.guard = self.guard.copy_empty()
        self._picker = Picker(pools, find_fault, record)

    def _left_out(self) -> dict[str, int]:
        left_out = dict(self.reading.left_out)
        for reason, count in self._picker.passed.items():
            left_out[reason] = left_out.get(reason, 0) + count
        return left_out

    def _check_enough(self) -> None:
        counts = self.counts
        if all(len(self._picker.splits[split]) == getattr(counts, split) for split in self._filled):
            return
        needed = counts.train + counts.val + counts.test
        why = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(self._left_out().items()))
        lowest = counts.train - (needed - self._picker.count())
        key = f"prepare.{self.task}.train to {lowest}" if lowest >= 1 else f"prepare.{self.task}.train, val and test"
        raise InputError(
            f"{self.reading.table.name}: has {self._picker.count()} usable rows of {self.reading.rows} "
            f"({why or 'none left out'}), but {self.task} needs {needed} "
            f"(train {counts.train}, val {counts.val}, test {counts.test}); lower {key}, or add rows"
        )


def count_rows(rows: list[Row]) -> dict[str, Any]:
    """Rows and problems by split."""
    return {
        "splits": {split: sum(row.split == split for row in rows) for split in SPLITS},
        "groups": {split: len({row.group for row in rows if row.split == split}) for split in SPLITS},
    }


def count_texts(texts: list[Source]) -> dict[str, Any]:
    """Texts by split, and by label where they have one."""
    labels = sorted({text.label for text in texts if text.label is not None})
    found = [(text.split, text.label) for text in texts]
    if not labels:
        return {"splits": {split: found.count((split, None)) for split in SPLITS}}
    return {"splits": {split: {label: found.count((split, label)) for label in labels} for split in SPLITS}}
