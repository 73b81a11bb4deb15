"""The probes of 3b: read from `probes.yaml`, each with a property of its answer that a program can check.

    - id: verse-1
      kind: poem
      instruction: Write a poem of four lines about the rain.
      check: {type: verse, lines: 4}

`check` is one of the kinds of `checks.py` or a list of them, all of which must hold; every one also asks that the answer
is not empty and does not loop.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from relearn.errors import InputError

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
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; write probes there, or copy those of another profile") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; save the file as UTF-8") from None
    try:
        rows = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise InputError(f"{path}{line}: not YAML ({getattr(error, 'problem', None) or 'cannot be read'})") from None
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{path}: a list of probes is expected, each with id, kind, instruction and check")
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
        raise InputError(f"{where}: not a mapping; id, kind, instruction and check are expected")
    checks = row.get("check")
    checks = checks if isinstance(checks, list) else [] if checks is None else [checks]
    known = _known_checks()
    if not checks:
        raise InputError(
            f"{where}: no check; add one of {', '.join(known)}, such as `check: {{type: sentences, min: 2}}`"
        )
    found = []
    for check in checks:
        kind = check.get("type") if isinstance(check, dict) else None
        if kind not in known:
            raise InputError(f"{where}: unknown check {kind or check!r}; the known types are {', '.join(known)}")
        found.append(_validated(known[kind], check, f"{where}: check {kind}: "))
    probe: Probe = _validated(Probe, {**row, "check": found}, f"{where}: ")
    return probe


def _known_checks() -> dict[str, Any]:
    """`checks.CHECKS`, by name: predict reads probes and runs no check, so a check that changes decodes nothing again."""
    checks: dict[str, Any] = import_module("relearn.evaluation.checks").CHECKS
    return checks


def _validated(model: Any, values: dict[str, object], where: str) -> Any:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{where}{_first(error)}") from None


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"unknown key {name}"
    if first["type"] == "missing":
        return f"{name} is missing"
    message = re.sub(r"^Value error, ", "", first["msg"])
    return f"{name}: {message}" if name else message
