"""The losses watched while training, as a table that `dvc plots` draws."""

from __future__ import annotations

import csv
from pathlib import Path

from relearn.files import atomic_write
from relearn.records import TASKS
from stages import paths


def write_curves(name: str, history: list[dict[str, float]], folder: Path | None = None) -> None:
    """<name>.csv of `folder`, or of metrics/losses/: step, the training loss, and each task's held-out loss, in nats a token."""
    columns = ["step", "train", *(task for task in TASKS if any(task in look for look in history))]
    with atomic_write((folder or paths.METRICS / "losses") / f"{name}.csv") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
