"""Keeps texts apart that are the same or nearly the same: across splits, and from texts that no split may hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from relearn.data.select import SPLITS, digest, normalise
from relearn.params.prepare import NearDuplicates
from relearn.records import Split

if TYPE_CHECKING:
    from relearn.data.near_duplicates import Index


class SplitGuard:
    """What the splits of one task hold so far, and what they may not hold.

    Exact equality is of normalised texts; nearness is the profile's (none where `near` is None).
    """

    def __init__(self, near: NearDuplicates | None, probes: Iterable[str] = ()) -> None:
        """`probes` are the first texts forbidden, for the reason `probe`."""
        self._near = near
        self._forbidden: dict[int, str] = {}
        self._texts: list[tuple[str, str]] = []
        self._index: Index | None = None
        if near is not None:
            # here, because it brings scipy, which exact profiles do without
            from relearn.data.near_duplicates import Index

            self._index = Index(near.threshold, near.permutations)
        for text in probes:
            self.forbid("probe", text)

    def forbid(self, reason: str, text: str) -> None:
        """No split may hold this text, or one near it; `reason` is what the rows left out are counted under."""
        self._forbidden.setdefault(digest(normalise(text)), reason)
        self._texts.append((reason, text))
        self._add(reason, text)

    def copy_empty(self) -> SplitGuard:
        """One that forbids the same texts and holds no rows yet."""
        copy = SplitGuard(self._near)
        for reason, text in self._texts:
            copy.forbid(reason, text)
        return copy

    def find_exact(self, text: str) -> str | None:
        """Why the text is forbidden as it stands, or None."""
        return self._forbidden.get(digest(normalise(text)))

    def find_near(self, text: str, split: Split) -> str | None:
        """Why the text may not go into `split`: what it is near to stands elsewhere; or None."""
        if self._index is None:
            return None
        for label in self._index.near(text):
            if label != split:
                return f"near_{label}" if label not in SPLITS else "near_duplicate"
        return None

    def record(self, text: str, split: Split) -> None:
        """The text went into `split`."""
        self._add(split, text)

    def _add(self, label: str, text: str) -> None:
        if self._index is not None:
            self._index.add(label, text)
