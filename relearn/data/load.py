"""Reviews, code and general instructions from a profile's source: cleaned, split, kept apart, and counted.

A row's text is kept as it stands but for two things: a run of HTML line breaks in a review becomes one newline, and
an instruction's `input` is appended to it after a blank line (unless it is empty, or "Not applicable", as data sets
in the manner of Alpaca write it). What is too long is left out, never cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from relearn.data.files import FileTable
from relearn.data.hub_table import HubTable
from relearn.data.instructions import count_by_split, count_groups, read_instructions
from relearn.data.reviews import count_by_label, read_reviews
from relearn.data.split_guard import SplitGuard
from relearn.data.table import Table
from relearn.params.prepare import (
    FilesSource,
    HubInstructions,
    HubReviews,
    HubSource,
    InstructionColumns,
    Prepare,
    ReviewColumns,
)
from relearn.records import Original, Review


def load(
    group: Prepare, folder: Path, seed: int, *, probes: Iterable[str] = (), memory: Path
) -> tuple[list[Review], list[Original], dict[str, Any]]:
    """The rows of a `files` or `hub` source, split as `group` asks, and the counts for `metrics/prepare.json`.

    `folder` holds the files that the source names; `probes` are instructions that no row may equal or nearly equal;
    `memory` is the folder where hub commits are remembered. Rows come in the order train, val, test, shuffled under
    `seed` within each. `counts["general"]` is None where the source has no general instructions.

    Raises InputError when a file is missing or unreadable, a row of a user's file is bad (an empty text, not a
    string, not UTF-8), the labels are all alike, or there are fewer usable rows than asked for.
    """
    source = group.source
    if not isinstance(source, FilesSource | HubSource):
        raise TypeError(f"a source of kind {source.kind} is made by its own package")
    # all are opened first, so that a missing file is found before minutes are spent on another
    review_table = _open(source.reviews, folder, memory)
    code_table = _open(source.code, folder, memory)
    general_table = None if source.general is None else _open(source.general, folder, memory)

    near, longest = group.near_duplicates, group.max_chars
    counts: dict[str, Any] = {}
    review_rows, counts["reviews"] = read_reviews(
        review_table, source.reviews, group.reviews, longest, seed, SplitGuard(near)
    )
    guard = SplitGuard(near, probes)
    originals, counts["code"] = read_instructions("code", code_table, source.code, group.code, longest, seed, guard)
    counts["general"] = None
    if source.general is not None and general_table is not None and group.general is not None:
        # 2c replays code only: a general row that is a code row as well would be replayed unseen
        for row in originals:
            guard.forbid("code", row.instruction)
        rows, counts["general"] = read_instructions(
            "general", general_table, source.general, group.general, longest, seed, guard
        )
        originals += rows
    return review_rows, originals, counts


def _open(
    columns: ReviewColumns | InstructionColumns | HubReviews | HubInstructions, folder: Path, memory: Path
) -> Table:
    if isinstance(columns, HubReviews | HubInstructions):
        return HubTable(columns.dataset, columns.revision, columns.split, memory)
    return FileTable(folder / columns.path)


def tally(review_rows: Sequence[Review], originals: Sequence[Original]) -> dict[str, Any]:
    """Counts in the form of `load`'s, for a source that is made and not read: rows by split, label and group."""
    tasks: tuple[Literal["code", "general"], ...] = ("code", "general")
    counts: dict[str, Any] = {"reviews": {"splits": count_by_label(review_rows)}}
    for task in tasks:
        rows = [row for row in originals if row.task == task]
        counts[task] = {"splits": count_by_split(rows), "groups": count_groups(rows)} if rows else None
    return counts
