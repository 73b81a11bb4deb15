"""Runs the stages of a scratch clone in one process: `python -m tests.integration.chain run [STAGE ...]` from its root.

A stage's own process spends most of its time on imports; here they are paid once.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from relearn.params import Params, load


def names() -> list[str]:
    """The stages in the order of dvc.yaml."""
    return list(YAML(typ="safe").load(Path("dvc.yaml"))["stages"])


def run(stage: str, params: Params | None = None) -> dict[str, Any] | None:
    """Runs one stage's work with the parameters of the clone, or with others."""
    module = importlib.import_module(f"stages.{stage}")
    found: dict[str, Any] | None = module.work(params or load(Path.cwd()))
    return found


def main(arguments: Sequence[str]) -> None:
    """Runs the stages named, or all."""
    for stage in arguments or names():
        run(stage)


if __name__ == "__main__":
    assert sys.argv[1] == "run"
    main(sys.argv[2:])
