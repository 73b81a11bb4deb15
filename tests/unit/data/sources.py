"""Small sources for the tests of this folder."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from relearn.params.prepare import Prepare

WORDS = ("amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jewel", "kelp", "lotus")


def prepare(**changes: Any) -> Prepare:
    """Parameters for reviews.csv and code.jsonl, small enough for a test."""
    group: dict[str, Any] = {
        "source": {
            "kind": "files",
            "reviews": {"path": "reviews.csv", "text": "review", "label": "sentiment"},
            "code": instructions("code.jsonl"),
            "general": None,
        },
        "reviews": {"train": 6, "val": 2, "test": 4},
        "code": {"train": 6, "val": 2, "test": 4},
        "general": None,
        "max_chars": {"review": 200, "instruction": 200, "response": 200},
        "near_duplicates": None,
    }
    return Prepare.model_validate(group | changes)


def instructions(path: str, **changes: str | None) -> dict[str, str | None]:
    """The columns of a file of instructions."""
    columns = {"instruction": "instruction", "input": "input", "response": "output", "tests": None, "group": None}
    return {"path": path, **columns, **changes}


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """A CSV file whose header is the first row's keys."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_jsonl(path: Path, rows: Sequence[object]) -> None:
    """A JSON Lines file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def reviews(count: int) -> list[dict[str, object]]:
    """Different reviews, good and bad in turn."""
    return [
        {
            "review": f"{WORDS[n % len(WORDS)]} is film number {n} and it {('bored', 'moved')[n % 2]} me",
            "sentiment": ("neg", "pos")[n % 2],
        }
        for n in range(count)
    ]


def problems(count: int, mark: str = "problem") -> list[dict[str, object]]:
    """Different instructions, each with an answer."""
    return [
        {"instruction": f"Solve {mark} {n} about {WORDS[n % len(WORDS)]}", "input": "", "output": f"answer = {n}"}
        for n in range(count)
    ]


def folder(path: Path, review_rows: int = 20, code_rows: int = 20) -> Path:
    """A folder with reviews.csv and code.jsonl."""
    write_csv(path / "reviews.csv", reviews(review_rows))
    write_jsonl(path / "code.jsonl", problems(code_rows))
    return path
