"""The ledger: every reply and every field ends kept or quarantined, and the sums are checked."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Mapping
from typing import Any


class Ledger:
    """Counts of what came in and what became of it; `as_dict` checks them before it returns them."""

    def __init__(self, sums: Mapping[str, str]) -> None:
        """`sums` declares that a count is the sum of others: its name, and theirs with spaces between."""
        self._sums = {whole: parts.split() for whole, parts in sums.items()}
        self.counts: Counter[str] = Counter({name: 0 for whole in sums for name in (whole, *self._sums[whole])})
        self.flags: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    def refuse(self, reason: str, count: int = 1) -> None:
        """Counts a row of quarantine, and its reason; what comes after " of " names a neighbour and is left out."""
        self.counts["quarantine_rows"] += 1
        self.reasons[reason.partition(" of ")[0]] += count

    def as_dict(self) -> dict[str, Any]:
        """Counts, flags and reasons, sorted by name. Raises AssertionError when something was lost on the way."""
        for whole, parts in self._sums.items():
            total = sum(self.counts[part] for part in parts)
            if self.counts[whole] != total:
                raise AssertionError(f"ledger: {whole} is {self.counts[whole]}, {' + '.join(parts)} is {total}")
        return {
            "counts": dict(sorted(self.counts.items())),
            "sums": [f"{whole} = {' + '.join(parts)}" for whole, parts in self._sums.items()],
            "flags": dict(sorted(self.flags.items())),
            "reasons": dict(sorted(self.reasons.items())),
        }


def digest(text: str) -> int:
    """A text in 64 bits (blake2b), never 0."""
    raw = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(raw, "little") or 1


class SeenTexts:
    """A set of texts in 8 bytes each (their `digest`), with the number of the row that held each first.

    Open addressing in two flat arrays: a million texts take 16 to 32 MB, where a dict would take ten times that.
    Two texts in 2^64 collide; among a million that happens once in some thirty million runs.
    """

    def __init__(self) -> None:
        self._keys = array("Q", bytes(8 * 1024))
        self._rows = array("I", bytes(array("I").itemsize * 1024))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def find(self, key: int) -> int | None:
        """The row that held the text of this `digest` first, or None."""
        slot = self._slot(key)
        return self._rows[slot] if self._keys[slot] else None

    def add(self, key: int, row: int) -> int | None:
        """Adds the text of this `digest` under `row`; if it is there already, returns the row that held it first."""
        slot = self._slot(key)
        if self._keys[slot]:
            return self._rows[slot]
        self._keys[slot], self._rows[slot] = key, row
        self._count += 1
        if 4 * self._count > 3 * len(self._keys):
            self._grow()
        return None

    def _slot(self, key: int) -> int:
        mask = len(self._keys) - 1
        slot = key & mask
        while self._keys[slot] and self._keys[slot] != key:
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        keys, rows = self._keys, self._rows
        self._keys = array("Q", bytes(16 * len(keys)))
        self._rows = array("I", bytes(2 * rows.itemsize * len(rows)))
        for key, row in zip(keys, rows, strict=True):
            if key:
                slot = self._slot(key)
                self._keys[slot], self._rows[slot] = key, row
