"""Keeps texts apart that are the same or nearly the same: across splits, and from texts that no split may hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from relearn.data.select import SPLITS, digest, normalise
from relearn.params.prepare import NearDuplicates
from relearn.records import Split

if TYPE_CHECKING:
    from relearn.data.near_duplicates import Index

_TEST_ONLY = "test/"  # before the label of a text that the test split alone may not hold


class SplitGuard:
    """What the splits of one task hold so far, and what they may not hold.

    Exact equality is of normalised texts; nearness is the profile's (none where `near` is None).
    """

    def __init__(self, near: NearDuplicates | None) -> None:
        self._near = near
        self._forbidden: dict[int, str] = {}
        self._equal: dict[int, str] = {}
        self._texts: list[tuple[str, str]] = []
        self._index: Index | None = None
        if near is not None:
            # here, because it brings scipy, which exact profiles do without
            from relearn.data.near_duplicates import Index

            self._index = Index(near.threshold, near.permutations)

    def forbid(self, reason: str, texts: Iterable[str], test_only: bool = False) -> None:
        """No split (or not the test split) may hold these texts, or one near them; rows left out count under `reason`."""
        for text in texts:
            self._forbid(f"{_TEST_ONLY}{reason}" if test_only else reason, text)

    def forbid_equal(self, reason: str, digests: Iterable[int]) -> None:
        """No split may hold a text of which this is the digest."""
        self._equal.update(dict.fromkeys(digests, reason))

    def _forbid(self, label: str, text: str) -> None:
        key = digest(normalise(text))
        if self._forbidden.get(key, _TEST_ONLY).startswith(_TEST_ONLY):  # a text for no split stays one
            self._forbidden[key] = label
        self._texts.append((label, text))
        self._add(label, text)

    def copy_empty(self) -> SplitGuard:
        """One that forbids the same texts and holds no rows yet."""
        copy = SplitGuard(self._near)
        for label, text in self._texts:
            copy._forbid(label, text)
        copy._equal = self._equal
        return copy

    def find_exact(self, text: str, split: Split = "train") -> str | None:
        """Why the text itself is forbidden, or None."""
        key = digest(normalise(text))
        label = self._forbidden.get(key)
        return (_reason(label, split) if label is not None else None) or self._equal.get(key)

    def find_near(self, text: str, split: Split) -> str | None:
        """Why the text may not go into `split`: a text near it is in another split; or None."""
        for label in self._index.near(text) if self._index is not None else ():
            reason = _reason(label, split)
            if reason is not None and reason != split:
                return f"near_{reason}" if reason not in SPLITS else "near_duplicate"
        return None

    def record(self, text: str, split: Split) -> None:
        """The text went into `split`."""
        self._add(split, text)

    def _add(self, label: str, text: str) -> None:
        if self._index is not None:
            self._index.add(label, text)


def _reason(label: str, split: Split) -> str | None:
    if not label.startswith(_TEST_ONLY):
        return label
    return label.removeprefix(_TEST_ONLY) if split == "test" else None
