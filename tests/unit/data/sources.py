"""Small sources for the tests of this folder."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from relearn.params.prepare import Prepare
from relearn.records import Role

WORDS = ("amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jewel", "kelp", "lotus")


ROLES: dict[str, Role] = {"reviews": "new", "code": "replayed", "general": "watched"}
COLUMNS: dict[str, dict[str, Any]] = {
    "reviews": {"form": "texts", "text": "review", "label": "sentiment"},
    "code": {
        "form": "instructions",
        "instruction": "instruction",
        "input": "input",
        "response": "output",
        "tests": None,
        "group": None,
    },
}
PATHS = {"reviews": "reviews.csv", "code": "code.jsonl", "general": "general.jsonl"}
SIZES = {"train": 6, "val": 2, "test": 4}


def prepare(near_duplicates: dict[str, Any] | None = None, **tasks: dict[str, Any]) -> Prepare:
    """Parameters for reviews.csv and code.jsonl, small enough for a test; of a task what differs (`path` too)."""
    group: dict[str, Any] = {"near_duplicates": near_duplicates}
    for task in dict.fromkeys(("reviews", "code", *tasks)):
        given = {**SIZES, **tasks.get(task, {})}
        columns = COLUMNS.get(task, COLUMNS["code"]) | given.pop("columns", {})
        source = {"kind": "files", "path": given.pop("path", PATHS.get(task)), "columns": columns}
        group[task] = {"source": source, "max_chars": {"prompt": 200, "response": 200}, **given}
    return Prepare.model_validate(group)


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
