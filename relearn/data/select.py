"""Which rows go where: a seeded order, quotas by label, groups kept whole, duplicates kept apart.

Every row has a rank, a hash of the seed and its normalised text. Rows are taken in the order of their ranks, so the
choice is shuffled, the same on every machine, and does not depend on the order of the rows in the source (but for
which spelling of two equal texts is kept: the first). `test` is filled first, then `val`, then `train`: asking for
more training rows leaves the held-out ones as they are. Since only the lowest ranks can be chosen, a source of any
length is read as a stream, keeping a few rows more than are needed.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from relearn.records import Split

SPLITS: tuple[Split, ...] = ("train", "val", "test")
FILL_ORDER: tuple[Split, ...] = ("test", "val", "train")

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
    """A usable row. `rank` orders (group first, so that a group's rows stand together); `group` is never split."""

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
        """Takes a candidate in, and lets the one with the highest rank go when there are too many."""
        self.size += 1
        item = (-candidate.rank[0], -candidate.rank[1], -candidate.number, candidate)
        if self._limit is None or len(self._heap) < self._limit:
            heapq.heappush(self._heap, item)
        else:
            heapq.heappushpop(self._heap, item)

    def take(self, other: Pool[T]) -> None:
        """Takes another pool's candidates in; what that one let go counts as let go here."""
        lost = other.size - len(other._heap)
        for candidate in other.sorted():
            self.add(candidate)
        self.size += lost

    @property
    def whole(self) -> bool:
        """True when nothing was let go."""
        return self.size == len(self._heap)

    def sorted(self) -> list[Candidate[T]]:
        """The candidates by rank."""
        return [item[3] for item in sorted(self._heap, key=lambda item: item[:3], reverse=True)]


class MoreNeeded(Exception):
    """The pools were too small for what had to be left out of them: read again with larger ones."""


@dataclass(frozen=True)
class Picked(Generic[T]):
    """The rows of each split in the order of their ranks, and how many were passed over, by reason."""

    splits: dict[Split, list[Candidate[T]]]
    passed: dict[str, int] = field(default_factory=dict)

    def count(self) -> int:
        """Rows chosen, over all splits."""
        return sum(len(rows) for rows in self.splits.values())


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


def pick(
    pools: Mapping[str, Pool[T]],
    wanted: Mapping[Split, int],
    find_fault: Callable[[Candidate[T], Split], str | None],
    record: Callable[[Candidate[T], Split], None],
) -> Picked[T]:
    """Chooses `wanted` rows for each split, the strata in proportion to their sizes, no group in two splits.

    `find_fault` says why a candidate must not go into a split (a near-duplicate of a row in another one), `record` hears
    of each one that goes in. A stratum that runs out is made up for by the others; a split comes out short when all
    have. Raises MoreNeeded when that happens to a pool that let candidates go.
    """
    sizes = {name: pool.size for name, pool in sorted(pools.items())}
    queues = {name: iter(pools[name].sorted()) for name in sizes}
    owner: dict[int, Split] = {}
    passed: dict[str, int] = {}
    splits: dict[Split, list[Candidate[T]]] = {split: [] for split in FILL_ORDER}

    def draw(name: str, split: Split) -> bool:
        for candidate in queues[name]:
            if owner.get(candidate.group, split) != split:
                reason: str | None = "group_in_other_split"
            else:
                reason = find_fault(candidate, split)
            if reason is None:
                owner[candidate.group] = split
                record(candidate, split)
                splits[split].append(candidate)
                return True
            passed[reason] = passed.get(reason, 0) + 1
        if not pools[name].whole:
            raise MoreNeeded
        return False

    for split in FILL_ORDER:
        missing = 0
        for name, quota in share_out(wanted[split], sizes).items():
            got = 0
            while got < quota and draw(name, split):
                got += 1
            missing += quota - got
        while missing and any(draw(name, split) for name in queues):
            missing -= 1
        splits[split].sort(key=lambda candidate: (candidate.rank, candidate.number))
    return Picked(splits, passed)
