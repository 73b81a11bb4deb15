"""The parameters that each stage last ran with, as dvc.lock records them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML

from stages.paths import Paths

Recorded = Mapping[str, Mapping[str, Any]]  # a file's name → dotted keys and their values


def read_params(paths: Paths) -> dict[str, Recorded]:
    """Those of each stage by its name; of none where nothing has run."""
    try:
        lock = YAML(typ="safe").load((paths.root / "dvc.lock").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return {name: stage.get("params", {}) for name, stage in lock["stages"].items()}


def find_change(recorded: Recorded, now: Mapping[str, Any]) -> str | None:
    """The first key that has another value in `now`, a file's name → its tree, as `key of file`; None where all agree.

    The keys of a file that `now` lacks have changed.
    """
    for file, values in recorded.items():
        for key, value in values.items():
            if file not in now or _look_up(now[file], key) != value:
                return f"{key} of {file}"
    return None


def _look_up(tree: Any, path: str) -> Any:
    for part in path.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree
