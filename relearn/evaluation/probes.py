"""The probes of 3b: read from `probes.yaml`, each with a property of its answer that a program can check.

    - id: verse-1
      kind: poem
      instruction: Write a poem of four lines about the rain.
      check: {type: verse, lines: 4}

`check` is one of the kinds of `checks` or a list of them, all of which must hold; every one also asks that the answer
is not empty and does not loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from relearn.errors import InputError
from relearn.evaluation.check_files import load_yaml, read_checks, validate

MOST = 1_000


class Probe(BaseModel):
    """An instruction that no training row holds, and the checks of its answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    kind: str = Field(min_length=1)
    instruction: str = Field(min_length=1)
    check: Sequence[Any] = Field(min_length=1)  # of `checks.CHECKS`


def read(path: Path | str) -> list[Probe]:
    """The probes of a YAML file, in its order.

    Raises InputError naming the file, the probe and what is wrong: a file that is missing or not YAML, a probe
    without a check, an unknown check or key, an id used twice, more than 1,000 probes.
    """
    rows = load_yaml(path, "write probes there, or copy those of another profile")
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{path}: expected a list of probes, each with id, kind, instruction and check")
    if len(rows) > MOST:
        raise InputError(f"{path}: {len(rows)} probes, more than {MOST}; split the file or drop some")
    found = [_probe(path, number, row) for number, row in enumerate(rows, 1)]
    seen: set[str] = set()
    for probe in found:
        if probe.id in seen:
            raise InputError(f"{path}, probe {probe.id}: this id is used twice; give each probe its own")
        seen.add(probe.id)
    return found


def _probe(path: Path | str, number: int, row: object) -> Probe:
    where = f"{path}, probe {row['id'] if isinstance(row, dict) and row.get('id') else f'number {number}'}"
    if not isinstance(row, dict):
        raise InputError(f"{where}: not a mapping; expected id, kind, instruction and check")
    return validate(Probe, {**row, "check": read_checks(row.get("check"), where)}, f"{where}: ")
