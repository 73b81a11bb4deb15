"""What every log becomes: runs, and in them samples."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}  # Inspect's correct, incorrect, partial, no answer
WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}


@dataclass(frozen=True, slots=True)
class Weighed:
    """A sample's part in a corpus figure: `value` (a loss per unit) counts `weight` times."""

    value: float
    weight: float


@dataclass(slots=True)
class Sample:
    """One answer and its scores. `document` and `prompt` are hashes of what was asked, 0 where the log has none."""

    task: str
    id: str
    scores: Mapping[str, float | Weighed]
    epoch: str = ""
    document: int = 0
    prompt: int = 0
    cluster: str | None = None
    where: str = ""


@dataclass
class Stated:
    """What a tool printed of a metric."""

    mean: float
    error: float | None = None


@dataclass
class Run:
    """One evaluation of one model, as its log has it; `samples` can be read once.

    Keys of `better`, `stated` and `curves` are (task, metric). What only reading the samples shows is in
    `notes` and `unfinished` afterwards.
    """

    tool: str
    name: str
    source: Path
    samples: Iterator[Sample]
    model: str = ""
    better: dict[tuple[str, str], str] = field(default_factory=dict)
    stated: dict[tuple[str, str], Stated] = field(default_factory=dict)
    exponential: set[tuple[str, str]] = field(default_factory=set)  # corpus figures that are exp of the mean loss
    groups: dict[str, list[str]] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)  # a task's; they should be equal in two runs
    unfinished: str = ""  # why the run is not complete
    notes: list[str] = field(default_factory=list)
    skipped: dict[tuple[str, str], str] = field(default_factory=dict)  # metrics without a number per sample, and why


def digest(value: Any) -> int:
    """63 bits of a hash of a text or JSON value, never 0."""
    if not isinstance(value, str):
        value = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    raw = hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(raw[:8], "big") >> 1 | 1


def number(value: Any) -> float | None:
    """A score as a number (nan where it counts as missing); None where it is not a number at all."""
    if isinstance(value, bool | int | float):
        try:
            return float(value)
        except OverflowError:
            return math.nan
    if isinstance(value, str):
        if value in LETTERS:
            return LETTERS[value]
        if value.lower() in WORDS:
            return WORDS[value.lower()]
        try:
            return float(value)
        except ValueError:
            return None
    return None


def kind(value: Any) -> str:
    """What a score is that is no number."""
    return {"NoneType": "null", "str": "a text"}.get(type(value).__name__, type(value).__name__)


def look_up(value: Any, key: str) -> str | None:
    """The text at a dotted key of nested objects, None where there is none."""
    if isinstance(value, dict) and key in value:
        found = value[key]
        return None if found is None else text(found)
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return None if value is None else text(value)


def text(value: Any) -> str:
    """A value as a name: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def mapping(value: Any) -> dict[str, Any]:
    """The value if it is an object, else an empty one: of a log's header, nothing is certain."""
    return value if isinstance(value, dict) else {}


def listing(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []
