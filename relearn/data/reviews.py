"""Reviews: cleaned, labelled, stratified by label."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from relearn.data.reading import TableReading, choose, iterate_rows, summarise
from relearn.data.select import SPLITS, Candidate, Pool, digest, normalise
from relearn.data.split_guard import SplitGuard
from relearn.data.table import Table
from relearn.errors import InputError
from relearn.params.prepare import Counts, HubReviews, MaxChars, ReviewColumns
from relearn.records import Review

_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_POLARITY = {
    **dict.fromkeys(["0", "-1", "neg", "negative"], "negative"),
    **dict.fromkeys(["1", "pos", "positive"], "positive"),
}
_MOST_LABELS = 100


def read_reviews(
    table: Table, columns: ReviewColumns | HubReviews, counts: Counts, longest: MaxChars, seed: int, guard: SplitGuard
) -> tuple[list[Review], dict[str, Any]]:
    """The reviews of a table, split and shuffled, and their counts; InputError as in `relearn.data.load`."""
    names: dict[str, str] = {}

    def read(limit: int) -> tuple[TableReading, dict[str, Pool[Review]]]:
        reading = TableReading(table)
        pools: dict[str, Pool[Review]] = {}
        seen: set[int] = set()
        for number, row in table.rows([columns.text, columns.label]):
            reading.rows += 1
            raw = reading.text(number, row, columns.text)
            label = None if raw is None else reading.text_or_number(number, row, columns.label)
            if raw is None or label is None:
                continue
            text = join_broken_lines(raw)
            if not text.strip():
                reading.skip("empty")
                continue
            if len(text) > longest.review:
                reading.skip("too_long")
                continue
            key = digest("review", normalise(text))
            if key in seen:
                reading.skip("duplicate")
                continue
            seen.add(key)
            if label not in pools:
                if len(pools) == _MOST_LABELS:
                    raise InputError(
                        f"{table.name}: column {columns.label!r} holds more than {_MOST_LABELS} different labels; "
                        "name the column that holds the sentiment"
                    )
                pools[label] = Pool(limit)
            review = Review(id=f"review-{key:016x}", text=text, label=label, split="train")
            pools[label].add(Candidate((digest(str(seed), str(key)), 0), number, key, review))
        names.update(_name_labels(pools, reading, columns.label))
        named: dict[str, Pool[Review]] = {}
        for label, pool in sorted(pools.items()):
            named.setdefault(names[label], Pool(limit)).take(pool)
        return reading, named

    reading, picked = choose(read, counts, "reviews", guard, lambda review: review.text)
    rows = [
        review.model_copy(update={"split": split, "label": names[review.label]})
        for split, review in iterate_rows(picked)
    ]
    return rows, summarise(reading, picked) | {"splits": count_by_label(rows)}


def join_broken_lines(text: str) -> str:
    """The text with each run of HTML line breaks, and the blanks around it, as one newline."""
    first, *rest = _BREAK.split(text)
    if not rest:
        return text
    *middle, last = rest
    lines = [line.strip(" \t") for line in middle if not line.isspace() and line]
    return "\n".join([first.rstrip(" \t"), *lines, last.lstrip(" \t")])


def _name_labels(labels: Collection[str], reading: TableReading, column: str) -> dict[str, str]:
    names = name_polarity(labels)
    if len(set(names.values())) == 1:
        raise InputError(
            f"{reading.table.name}: column {column!r} holds only {next(iter(labels))!r} in {reading.rows} rows; "
            "reviews of two sentiments are needed at least"
        )
    return names


def name_polarity(labels: Iterable[str]) -> dict[str, str]:
    """What labels are called: `positive` and `negative` where that is what they mean, else what they are.

    0, -1, neg, negative against 1, pos, positive, in any case, when the column holds nothing else, and not both 0 and
    -1: beside other numbers, 1 is a place on a scale.
    """
    named = {label: _POLARITY.get(label.lower(), "") for label in labels}
    if set(named.values()) == {"positive", "negative"} and not {"0", "-1"} <= set(named):
        return named
    return {label: label for label in named}


def count_by_label(rows: Sequence[Review]) -> dict[str, dict[str, int]]:
    """Rows by split and label."""
    labels = sorted({row.label for row in rows})
    return {
        split: {label: sum(1 for row in rows if (row.split, row.label) == (split, label)) for label in labels}
        for split in SPLITS
    }
