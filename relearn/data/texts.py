"""Texts that a teacher is shown: cleaned, labelled, stratified by label."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import partial

from relearn.data.reading import Chooser, TableReading
from relearn.data.select import Candidate, Pool, digest, normalise
from relearn.data.split_guard import SplitGuard
from relearn.data.table import Table
from relearn.errors import InputError
from relearn.params.prepare import TaskRows, TextColumns
from relearn.records import Source

_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_POLARITY = {
    **dict.fromkeys(["0", "-1", "neg", "negative"], "negative"),
    **dict.fromkeys(["1", "pos", "positive"], "positive"),
}
_MOST_LABELS = 100


def choose_texts(
    task: str, table: Table, columns: TextColumns, counts: TaskRows, seed: int, guard: SplitGuard
) -> Chooser[Source]:
    """The texts of a table, to be split; InputError as in `relearn.data.load`."""
    longest = counts.max_chars.prompt

    def read(limit: int) -> tuple[TableReading, dict[str, Pool[Source]]]:
        reading = TableReading(table)
        pools: dict[str | None, Pool[Source]] = {}
        seen: set[int] = set()
        for number, row in table.rows([name for name in (columns.text, columns.label) if name is not None]):
            reading.rows += 1
            raw = reading.text(number, row, columns.text)
            label = None if raw is None or columns.label is None else reading.text_or_number(number, row, columns.label)
            if raw is None or (label is None and columns.label is not None):
                continue
            text = join_broken_lines(raw)
            if not text.strip():
                reading.skip("empty")
                continue
            if longest is not None and len(text) > longest:
                reading.skip("too_long")
                continue
            key = digest("text", normalise(text))
            if key in seen:
                reading.skip("duplicate")
                continue
            seen.add(key)
            reason = guard.find_exact(text)
            if reason is not None:
                reading.skip(reason)
                continue
            if label not in pools:
                if len(pools) == _MOST_LABELS:
                    raise InputError(
                        f"{table.name}: column {columns.label!r} holds more than {_MOST_LABELS} different labels; "
                        "name the column that splits are balanced by, or null"
                    )
                pools[label] = Pool(limit)
            name = f"{task}-{key:016x}"
            source = Source(id=name, task=task, group=name, label=label, split="train", fields={"text": text})
            pools[label].add(Candidate((digest(str(seed), str(key)), 0), number, key, source))
        return reading, _name_pools(pools, reading, columns.label, limit)

    return Chooser(task, counts, guard, read, lambda source: source.fields["text"])


def _name_pools(
    pools: dict[str | None, Pool[Source]], reading: TableReading, column: str | None, limit: int
) -> dict[str, Pool[Source]]:
    """The pools by what their labels are called, which the texts then have as a field too."""
    labels = [label for label in pools if label is not None]
    if column is None:
        return {"": pools[None]} if pools else {}
    names = _name_labels(labels, reading, column)
    named: dict[str, Pool[Source]] = {}
    for label in sorted(labels):
        pools[label].change_rows(partial(_label, name=names[label]))
        named.setdefault(names[label], Pool(limit)).take(pools[label])
    return named


def _label(source: Source, name: str) -> Source:
    return source.model_copy(update={"label": name, "fields": source.fields | {"label": name}})


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
            "name a column with at least two labels, or set null to balance the splits by none"
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
