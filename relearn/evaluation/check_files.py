"""YAML files that name registered checks with values: what probes and skills have in common. Nothing in them is run."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from relearn.errors import InputError

T = TypeVar("T", bound=BaseModel)


def load_yaml(path: Path | str, hint: str) -> Any:
    """What a YAML file holds, plain values only.

    Raises InputError, with what to do, for a file that is missing (`hint`), not UTF-8, or not YAML.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {hint}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; save the file as UTF-8") from None
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise InputError(
            f"{path}{line}: not YAML ({getattr(error, 'problem', None) or 'cannot be read'}); fix it there"
        ) from None


def read_checks(value: object, where: str) -> list[Any]:
    """The checks of `check: {type: …}`, or of a list of such; InputError, which begins with `where`, for any other value."""
    listed = value if isinstance(value, list) else [] if value is None else [value]
    known = _known_checks()
    if not listed:
        raise InputError(
            f"{where}: no check; add one of {', '.join(known)}, such as `check: {{type: sentences, min: 2}}`"
        )
    found = []
    for check in listed:
        kind = check.get("type") if isinstance(check, dict) else None
        if not isinstance(check, dict) or kind not in known:
            raise InputError(f"{where}: unknown check {kind or check!r}; the known types are {', '.join(known)}")
        found.append(validate(known[kind], check, f"{where}: check {kind}: "))
    return found


def _known_checks() -> dict[str, Any]:
    """`checks.CHECKS`, by name: predict reads files and runs no check, so a check that changes decodes nothing again."""
    checks: dict[str, Any] = import_module("relearn.evaluation.checks").CHECKS
    return dict(sorted(checks.items()))


def validate(model: type[T], values: dict[str, Any], where: str) -> T:
    """The values as a `model`; InputError, which begins with `where`, with the first thing that is wrong."""
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
