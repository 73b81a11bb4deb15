"""The losses watched while training, as a table that `dvc plots` draws."""

from __future__ import annotations

import csv
from pathlib import Path

from relearn.files import atomic_write


def write_curves(path: Path, history: list[dict[str, float]], tasks: list[str]) -> None:
    """A row a look and task: step, task (`train` for the training loss), held-out loss in nats a token."""
    with atomic_write(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("step", "task", "loss"))
        for look in history:
            writer.writerows((look["step"], task, look[task]) for task in ("train", *tasks) if task in look)


def read_curves(path: Path) -> list[dict[str, float | None]]:
    """The looks that `write_curves` wrote, a column a task, None where a look lacks one; none without a file."""
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    tasks = dict.fromkeys(["train", *(row["task"] for row in rows)])
    looks: dict[str, dict[str, float | None]] = {}
    for row in rows:
        look = looks.setdefault(row["step"], {"step": float(row["step"]), **tasks})
        look[row["task"]] = float(row["loss"])
    return list(looks.values())
