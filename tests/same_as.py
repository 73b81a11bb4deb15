"""Do two runs say the same? Compares every answer, likelihood and score of two finished checkouts.

    python -m tests.same_as OLD NEW

OLD and NEW are checkouts (or copies with `data/predictions` and `metrics`) in which the chain has run. Answers and
likelihoods are compared by model, task and id; scores by their place in the file, to the printed digit. Prints what differs
and what only one side has, and exits with status 1 where anything does.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

SHOWN = 20
ANSWER = ("prompt", "reference", "prediction", "finish_reason", "nll", "bytes")


def answers(root: Path) -> dict[str, Any]:
    """Each answer by model, further seed, task and id."""
    found: dict[str, Any] = {}
    for file in sorted((root / "data" / "predictions").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            model = f"{row['model']}, seed {row['seed']}" if "seed" in row else file.stem
            found[f"{model}: {row['task']}: {row['id']}"] = {name: row[name] for name in ANSWER}
    return found


def scores(root: Path) -> dict[str, Any]:
    """Each number and text of the files of metrics, by file and key."""
    found: dict[str, Any] = {}
    for file in sorted((root / "metrics").rglob("*.json")):
        name = file.relative_to(root / "metrics").as_posix()
        found.update(_leaves(name, json.loads(file.read_text(encoding="utf-8"))))
    return found


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list) and value:
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(f"{place}: {name}", inner)
    else:
        yield place, value


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """One line for each place whose values differ, or that one side lacks."""
    found = [f"only in the old run: {place}" for place in old if place not in new]
    found += [f"only in the new run: {place}" for place in new if place not in old]
    return found + [
        f"{place}: {old[place]!r} is now {new[place]!r}"
        for place in old
        if place in new and repr(old[place]) != repr(new[place])
    ]


def main(arguments: Sequence[str]) -> int:
    """The command; returns its exit status."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    old, new = map(Path, arguments)
    status = 0
    for what, read in (("answers", answers), ("scores", scores)):
        before, after = read(old), read(new)
        if not before or not after:
            print(f"same_as: {old if not before else new}: no {what}; run the chain there first (dvc repro)")
            return 2
        found = differences(before, after)
        print(f"{what}: {len(before)} before, {len(after)} after, {len(found)} differences")
        for line in found[:SHOWN]:
            print(f"  {line[:400]}")
        status |= bool(found)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
