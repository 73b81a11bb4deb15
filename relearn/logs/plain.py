"""Plain JSON Lines, for whoever has scores and no tool: `{"task", "id", "metric", "score"}` a row.

Optional: `cluster`, `epoch`, `better` (`higher` or `lower`), `document` and `prompt` (what was asked, or its hash), and
`run` or `model`, where a file holds several.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from relearn.errors import InputError
from relearn.logs import bounds
from relearn.logs.records import Run, Sample, digest, kind, look_up, number, text

NEEDED = ("task", "id", "metric", "score")


def is_row(row: Mapping[str, Any]) -> bool:
    return all(key in row for key in NEEDED)


def read(path: Path, cluster: str | None) -> list[Run]:
    """A run for each name that the rows give."""
    seen: dict[str, None] = {}
    for _, row in bounds.read_rows(path, []):
        seen.setdefault(_name(row))
    runs = []
    for name in seen:
        run = Run("JSON Lines", name or path.stem, path, iter(()), name)
        run.samples = _samples(run, path, name, cluster)
        runs.append(run)
    return runs


def _name(row: Mapping[str, Any]) -> str:
    return text(row.get("run") or row.get("model") or "")


def _samples(run: Run, path: Path, name: str, cluster: str | None) -> Iterator[Sample]:
    cut: list[str] = []
    for where, row in bounds.read_rows(path, cut):
        if _name(row) != name:
            continue
        if missing := [key for key in NEEDED if key not in row]:
            raise InputError(f"{where}: no {', '.join(missing)}; a row has task, id, metric and score")
        task, metric = text(row["task"]), text(row["metric"])
        score = None if isinstance(row["score"], str) else number(row["score"])
        if score is None:
            run.skipped.setdefault((task, metric), f"a sample has {kind(row['score'])} instead of a number")
        if (better := row.get("better")) is not None:
            if better not in ("higher", "lower"):
                raise InputError(f"{where}: better is {text(better)[:40]}; expected higher or lower")
            if run.better.setdefault((task, metric), better) != better:
                raise InputError(f"{where}: better is {better}, but another row of {task}, {metric} says otherwise")
        yield Sample(
            task,
            text(row["id"]),
            {} if score is None else {metric: score},
            epoch=text(row.get("epoch", "")),
            document=digest(row["document"]) if row.get("document") else 0,
            prompt=digest(row["prompt"]) if row.get("prompt") else 0,
            cluster=look_up(row, cluster or "cluster"),
            where=where,
        )
    run.unfinished = cut[0] if cut else ""
