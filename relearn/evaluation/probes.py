"""The probes of 3b: read from `probes.yaml`, each with a property of its answer that a program can check.

    - id: verse-1
      kind: poem
      instruction: Write a poem of four lines about the rain.
      check: {type: verse, lines: 4}

`check` is one of the kinds below or a list of them, all of which must hold; every one also asks that the answer
is not empty and does not loop.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from relearn.errors import InputError

MOST = 1_000


class Check(BaseModel):
    """A property of an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Verse(Check):
    """At least `lines` lines that are not blank, at least `lines` of them at most `longest` characters long."""

    type: Literal["verse"]
    lines: int = Field(ge=2)
    longest: int = Field(default=90, ge=10)


class Function(Check):
    """Holds Python code that parses, defines `name`, and passes `tests` (asserts) in the sandbox."""

    type: Literal["function"]
    name: str = Field(pattern=r"^[A-Za-z_]\w*$")
    tests: list[str] = []


class Language(Check):
    """Is written in a language, told by its function words: fr, en, de, es, it."""

    type: Literal["language"]
    language: Literal["fr", "en", "de", "es", "it"]


class Dialogue(Check):
    """At least `turns` lines `Name: …`, by at least `speakers` speakers."""

    type: Literal["dialogue"]
    turns: int = Field(ge=2)
    speakers: int = Field(default=2, ge=1)


class Contains(Check):
    """Holds every word or phrase of `all`, and at least one of `any`; case does not matter, whole words do."""

    type: Literal["contains"]
    all: list[str] = []
    any: list[str] = []

    @model_validator(mode="after")
    def _something(self) -> Contains:
        if not self.all and not self.any:
            raise ValueError("give `all` or `any` at least one word")
        return self


class Sentences(Check):
    """From `min` to `max` sentences."""

    type: Literal["sentences"]
    min: int = Field(default=1, ge=1)
    max: int | None = Field(default=None, ge=1)


class Starts(Check):
    """Begins with one of `any`; case and leading marks do not matter."""

    type: Literal["starts"]
    any: list[str] = Field(min_length=1)


AnyCheck = Annotated[
    Verse | Function | Language | Dialogue | Contains | Sentences | Starts, Field(discriminator="type")
]
KINDS = ("verse", "function", "language", "dialogue", "contains", "sentences", "starts")


class Probe(BaseModel):
    """An instruction that no training row holds, and the checks of its answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    kind: str = Field(min_length=1)
    instruction: str = Field(min_length=1)
    check: Sequence[AnyCheck] = Field(min_length=1)


_checks: TypeAdapter[AnyCheck] = TypeAdapter(AnyCheck)


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
        raise InputError(
            f"{path}: no such file; write probes there, or copy those of another profile"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; save the file as UTF-8") from None
    try:
        rows = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise InputError(
            f"{path}{line}: not YAML ({getattr(error, 'problem', None) or 'cannot be read'})"
        ) from None
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
    if not checks:
        raise InputError(
            f"{where}: no check; add one of {', '.join(KINDS)}, such as `check: {{type: sentences, min: 2}}`"
        )
    for check in checks:
        kind = check.get("type") if isinstance(check, dict) else None
        if kind not in KINDS:
            raise InputError(
                f"{where}: unknown check {kind or check!r}; the known types are {', '.join(KINDS)}"
            )
        _validated(where, f"check {kind}: ", check)
    values = {key: value for key, value in row.items() if key != "check"} | {"check": checks}
    try:
        return Probe.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{where}: {_first(error)}") from None


def _validated(where: str, what: str, check: dict[str, object]) -> None:
    try:
        _checks.validate_python(check)
    except ValidationError as error:
        raise InputError(f"{where}: {what}{_first(error)}") from None


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    keys = [str(part) for part in first["loc"] if part not in KINDS]
    name = ".".join(keys)
    if first["type"] == "extra_forbidden":
        return f"unknown key {name}"
    if first["type"] == "missing":
        return f"{name} is missing"
    message = re.sub(r"^Value error, ", "", first["msg"])
    return f"{name}: {message}" if name else message
