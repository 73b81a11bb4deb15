"""Answers and likelihoods that a model has given, kept so that a later run computes only what is missing.

A file a batch, since neighbours move the last bits: a batch is found again only where all of its rows are what they
were, and what is found is then what would be computed. Batches are formed of one task's prompts (`stages.predict`), so
that another task, model or suite leaves them as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from relearn.files import write_json


def name_batch(asked: object) -> str:
    """The hash of all that decides a batch's results besides the model."""
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def find_or_compute(folder: Path | None, name: str, compute: Callable[[], list[Any]]) -> list[Any]:
    """The results kept in `folder` under this name, or those of `compute`, which are then kept; JSON values both.

    Without a folder nothing is kept. A file that is damaged is computed again.
    """
    if folder is None:
        return compute()
    file = folder / f"{name}.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(found, list):
            return found
    except (FileNotFoundError, ValueError):
        pass
    results = compute()
    write_json(file, results)
    return results
