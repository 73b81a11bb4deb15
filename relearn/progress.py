"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere (a log, CI).

Written to stderr, so that stdout stays a command's answer; of several processes that share work, by the first alone.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from tqdm import tqdm

from relearn.launched import is_rank_zero

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Counts towards `total` items of a `unit`; `notes` (rate, cost, loss …) are shown beside the count."""

    def __init__(self, label: str, total: int, unit: str = "rows") -> None:
        self.label, self.total, self.unit, self.done = label, total, unit, 0
        self.started = self.spoken = time.monotonic()
        self.bar: Any = None
        if is_rank_zero() and sys.stderr.isatty():
            self.bar = tqdm(total=total, desc=label, unit=f" {unit}", dynamic_ncols=True, leave=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.close()
        elif kind is None:
            self._line(f"in {time.monotonic() - self.started:.1f} s")

    def update(self, count: int = 1, notes: str = "") -> None:
        """`count` more items are done."""
        self.done += count
        if self.bar is not None:
            if notes:
                self.bar.set_postfix_str(notes, refresh=False)
            self.bar.update(count)
        elif time.monotonic() - self.spoken >= SECONDS_BETWEEN_LINES:
            left = (time.monotonic() - self.started) / max(self.done, 1) * (self.total - self.done)
            self._line(f"{notes + ', ' if notes else ''}{left:.0f} s left")
            self.spoken = time.monotonic()

    def _line(self, notes: str) -> None:
        if is_rank_zero():
            print(f"{self.label}: {self.done}/{self.total} {self.unit}, {notes}", file=sys.stderr, flush=True)


def say(text: str) -> None:
    """Prints one plain line to the user, on stderr."""
    if is_rank_zero():
        tqdm.write(text, file=sys.stderr)
        sys.stderr.flush()
