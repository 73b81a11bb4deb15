"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere (a log, CI).

Written to stderr, so that stdout stays a command's answer; of several processes that share work, by the first alone.
"""

from __future__ import annotations

import math
import sys
import time
from types import TracebackType
from typing import Any

from tqdm import tqdm

from relearn.launched import is_rank_zero

SECONDS_BETWEEN_LINES = 10.0


def tell_duration(seconds: float) -> str:
    """A span of time that is known roughly: `45 s`, `12 min`, `2.5 h`."""
    if seconds < 100:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


class Progress:
    """Counts towards `total` items of a `unit`, or on and on where the total is None; `notes` (rate, cost, loss …) are
    shown beside the count. Work that takes less than `least` seconds shows nothing.
    """

    def __init__(self, label: str, total: int | None, unit: str = "rows", least: float = 0.0) -> None:
        self.label, self.total, self.unit, self.least, self.done = label, total, unit, least, 0
        self.started = self.spoken = time.monotonic()
        self.bar: Any = None
        if is_rank_zero() and sys.stderr.isatty():
            self.bar = tqdm(total=total, desc=label, unit=f" {unit}", dynamic_ncols=True, leave=True, delay=least)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.close()
        elif kind is None and time.monotonic() - self.started >= self.least:
            self._line(f"in {time.monotonic() - self.started:.1f} s")

    def update(self, count: int = 1, notes: str = "") -> None:
        """`count` more items are done."""
        self.done += count
        if self.bar is not None:
            if notes:
                self.bar.set_postfix_str(notes, refresh=False)
            self.bar.update(count)
        elif time.monotonic() - self.spoken >= SECONDS_BETWEEN_LINES:
            self._line(", ".join(filter(None, (notes, self._left()))))
            self.spoken = time.monotonic()

    def _left(self) -> str:
        gone = time.monotonic() - self.started
        if self.total is None:
            return f"{self.done / gone:,.0f}/s"
        return f"{tell_duration(gone / max(self.done, 1) * (self.total - self.done))} left"

    def _line(self, notes: str) -> None:
        if is_rank_zero():
            count = f"{self.done:,}" if self.total is None else f"{self.done}/{self.total}"
            print(f"{self.label}: {count} {self.unit}, {notes}", file=sys.stderr, flush=True)


def say(text: str) -> None:
    """Prints one plain line to the user, on stderr."""
    if is_rank_zero():
        tqdm.write(text, file=sys.stderr)
        sys.stderr.flush()
