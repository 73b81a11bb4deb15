"""Which checkpoint a killed run goes on from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

STATE = "trainer_state.json"  # the trainer writes it last


def find_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint under `folder` that was written to its end; half-written ones are removed."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.split("-")[1].isdigit()]
    for path in sorted(found, key=lambda path: int(path.name.split("-")[1]), reverse=True):
        try:
            json.loads((path / STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(path)
            continue
        return path
    return None
