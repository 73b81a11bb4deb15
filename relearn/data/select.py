"""Which rows go where: a seeded order, quotas by label, groups kept whole, duplicates kept apart.

Every row has a rank, a hash of the seed and its normalised text. Rows are taken in the order of their ranks, so the
choice is shuffled, the same on every machine, and does not depend on the order of the rows in the source (but for
which spelling of two equal texts is kept: the first). `train` is filled first, then `val`, then `test`: asking for
more test rows leaves what is trained on as it is. Since only the lowest ranks can be chosen, a source of any
length is read as a stream, keeping a few rows more than are needed.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from relearn.records import Split

SPLITS: tuple[Split, ...] = ("train", "val", "test")  # in the order in which they are filled

T = TypeVar("T")


def normalise(text: str) -> str:
    """The form in which two texts count as the same: case and white space set aside."""
    return " ".join(text.casefold().split())


def digest(*parts: str) -> int:
    """64 bits that identify the parts, the same in every process (unlike `hash`)."""
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "big") + data)
    return int.from_bytes(state.digest(), "big")


@dataclass(frozen=True, slots=True)
class Candidate(Generic[T]):
    """A usable row. `rank` orders (group first, so that a group's rows are adjacent); `group` is never split."""

    rank: tuple[int, int]
    number: int
    group: int
    row: T


class Pool(Generic[T]):
    """The candidates of one stratum with the lowest ranks, at most `limit` of them (all where it is None)."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._heap: list[tuple[int, int, int, Candidate[T]]] = []  # negated, so that the highest rank is on top
        self.size = 0

    def add(self, candidate: Candidate[T]) -> None:
        """Adds a candidate, and drops the one with the highest rank when there are too many."""
        self.size += 1
        item = (-candidate.rank[0], -candidate.rank[1], -candidate.number, candidate)
        if self._limit is None or len(self._heap) < self._limit:
            heapq.heappush(self._heap, item)
        else:
            heapq.heappushpop(self._heap, item)

    def take(self, other: Pool[T]) -> None:
        """Adds another pool's candidates; what that one dropped counts as dropped here."""
        lost = other.size - len(other._heap)
        for candidate in other.sorted():
            self.add(candidate)
        self.size += lost

    def change_rows(self, change: Callable[[T], T]) -> None:
        """Changes every row; one by one, since a million rows as they were and as they are would take twice the memory."""
        for at, (first, second, number, candidate) in enumerate(self._heap):
            self._heap[at] = (first, second, number, replace(candidate, row=change(candidate.row)))

    @property
    def whole(self) -> bool:
        """True when nothing was dropped."""
        return self.size == len(self._heap)

    def sorted(self) -> list[Candidate[T]]:
        """The candidates by rank."""
        return [item[3] for item in sorted(self._heap, key=lambda item: item[:3], reverse=True)]


class MoreNeeded(Exception):
    """The pools were too small for what had to be left out of them: read again with larger ones."""


def share_out(total: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """`total` shared out in proportion to `sizes`: the largest-remainder method, ties to the first name.

    The shares add up to `total` unless all sizes are 0.
    """
    whole = sum(sizes.values())
    if not whole:
        return dict.fromkeys(sizes, 0)
    shares = {name: total * size // whole for name, size in sizes.items()}
    by_remainder = sorted(sizes, key=lambda name: (-(total * sizes[name] % whole), name))
    for name in by_remainder[: total - sum(shares.values())]:
        shares[name] += 1
    return shares


class Picker(Generic[T]):
    """Fills one split after the other from the pools, the strata in proportion to their sizes, no group in two splits.

    `find_fault` says why a candidate must not go into a split (a near-duplicate of a row in another one), `record` hears
    of each one that goes in. `splits` has the rows of each split in the order of their ranks, `passed` how many were
    passed over, by reason.
    """

    def __init__(
        self,
        pools: Mapping[str, Pool[T]],
        find_fault: Callable[[Candidate[T], Split], str | None],
        record: Callable[[Candidate[T], Split], None],
    ) -> None:
        self.pools, self.find_fault, self.record = pools, find_fault, record
        self.splits: dict[Split, list[Candidate[T]]] = {split: [] for split in SPLITS}
        self.passed: dict[str, int] = {}
        self._queues = {name: iter(pools[name].sorted()) for name in sorted(pools)}
        self._owner: dict[int, Split] = {}

    def fill(self, split: Split, wanted: int) -> None:
        """Puts `wanted` rows into a split. A stratum that runs out is made up for by the others; the split comes out
        short when all have. Raises MoreNeeded when that happens to a pool that dropped candidates."""
        missing = 0
        for name, quota in share_out(wanted, {name: self.pools[name].size for name in self._queues}).items():
            got = 0
            while got < quota and self._draw(name, split):
                got += 1
            missing += quota - got
        while missing and any(self._draw(name, split) for name in self._queues):
            missing -= 1
        self.splits[split].sort(key=lambda candidate: (candidate.rank, candidate.number))

    def count(self) -> int:
        """Rows chosen, over all splits."""
        return sum(len(rows) for rows in self.splits.values())

    def _draw(self, name: str, split: Split) -> bool:
        for candidate in self._queues[name]:
            if self._owner.get(candidate.group, split) != split:
                reason: str | None = "group_in_other_split"
            else:
                reason = self.find_fault(candidate, split)
            if reason is None:
                self._owner[candidate.group] = split
                self.record(candidate, split)
                self.splits[split].append(candidate)
                return True
            self.passed[reason] = self.passed.get(reason, 0) + 1
        if not self.pools[name].whole:
            raise MoreNeeded
        return False
