"""The 3a table as CSV: the numbers, a row a model, task and metric. `relearn.report.table` draws it for people."""

from __future__ import annotations

import csv
import io
from typing import Any

from relearn import escaping as plain
from relearn.evaluation.seeds import SPREAD

COLUMNS = ("model", "task", "metric", "value", "low", "high", "mark")


def as_csv(rows: list[dict[str, Any]]) -> str:
    """One row a model, task and metric: value, ends of the 95% interval, significance mark.

    Where rounds were trained with further seeds, also how many seeds there are, and the mean, standard deviation and
    range over them.
    """
    out = io.StringIO()
    spread = [f"seeds_{name}" for name in SPREAD]
    columns = [*COLUMNS, *(spread if any(spread[0] in row for row in rows) else ())]
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _plain(row.get(key)) for key in columns} for row in rows)
    return out.getvalue()


def _plain(value: Any) -> Any:
    """A value as a spreadsheet should take it: a number as it is, a text never as a formula."""
    return "" if value is None else plain.cell(value) if isinstance(value, str) else value
