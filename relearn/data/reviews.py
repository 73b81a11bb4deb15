"""Reviews: cleaned, labelled, stratified by label."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from relearn.data.apart import Apart
from relearn.data.reading import SPLITS, Reading, choose, report, rows_of
from relearn.data.select import Candidate, Pool, digest, normalise
from relearn.data.table import Row, Table
from relearn.errors import InputError
from relearn.params.groups import Counts, HubReviews, MaxChars, ReviewColumns
from relearn.records import Review

_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_POLARITY = {
    "0": "negative",
    "-1": "negative",
    "neg": "negative",
    "negative": "negative",
    "1": "positive",
    "pos": "positive",
    "positive": "positive",
}
_MOST_LABELS = 100


def reviews(
    table: Table,
    columns: ReviewColumns | HubReviews,
    counts: Counts,
    longest: MaxChars,
    seed: int,
    apart: Apart,
) -> tuple[list[Review], dict[str, Any]]:
    """The reviews of a table, split and shuffled, and their counts; InputError as in `relearn.data.load`."""
    names: dict[str, str] = {}

    def read(limit: int) -> tuple[Reading, dict[str, Pool[Review]]]:
        reading = Reading(table)
        pools: dict[str, Pool[Review]] = {}
        seen: set[int] = set()
        for number, row in table.rows([columns.text, columns.label]):
            reading.rows += 1
            raw = reading.text(number, row, columns.text)
            label = None if raw is None else _label(reading, number, row, columns.label)
            if raw is None or label is None:
                continue
            text = without_breaks(raw)
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
        names.update(_names(pools, reading, columns.label))
        named: dict[str, Pool[Review]] = {}
        for label, pool in sorted(pools.items()):
            named.setdefault(names[label], Pool(limit)).take(pool)
        return reading, named

    reading, picked = choose(read, counts, "reviews", apart, lambda review: review.text)
    rows = [
        review.model_copy(update={"split": split, "label": names[review.label]})
        for split, review in rows_of(picked)
    ]
    return rows, report(reading, picked) | {"splits": by_label(rows)}


def without_breaks(text: str) -> str:
    """The text with each run of HTML line breaks, and the blanks around it, as one newline."""
    first, *rest = _BREAK.split(text)
    if not rest:
        return text
    *middle, last = rest
    lines = [line.strip(" \t") for line in middle if not line.isspace() and line]
    return "\n".join([first.rstrip(" \t"), *lines, last.lstrip(" \t")])


def _label(reading: Reading, number: int, row: Row, column: str) -> str | None:
    value = row[column]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    text = reading.text(number, row, column)
    return None if text is None else text.strip()


def _names(labels: Collection[str], reading: Reading, column: str) -> dict[str, str]:
    names = polarity(labels)
    if len(set(names.values())) == 1:
        raise InputError(
            f"{reading.table.name}: column {column!r} holds only {next(iter(labels))!r} in {reading.rows} rows; "
            "reviews of two sentiments are needed at least"
        )
    return names


def polarity(labels: Iterable[str]) -> dict[str, str]:
    """What labels are called: `positive` and `negative` where that is what they mean, else what they are.

    0, -1, neg, negative against 1, pos, positive, in any case, when the column holds nothing else, and not both 0 and
    -1: beside other numbers, 1 is a place on a scale.
    """
    named = {label: _POLARITY.get(label.lower(), "") for label in labels}
    if set(named.values()) == {"positive", "negative"} and not {"0", "-1"} <= set(named):
        return named
    return {label: label for label in named}


def by_label(rows: Sequence[Review]) -> dict[str, dict[str, int]]:
    """Rows by split and label."""
    labels = sorted({row.label for row in rows})
    return {
        split: {label: sum(1 for row in rows if (row.split, row.label) == (split, label)) for label in labels}
        for split in SPLITS
    }
