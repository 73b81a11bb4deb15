"""Repair on the cases that other tools' authors wrote, beside what they expect.

    python -m bench.repair_cases [--show]

The fields asked for are those of the expected answer that have a type repair knows. A case is `same` when every
object of the expected answer comes back with just those values, `partly` when some do, `refused` when none does,
`differs` when a value is another, and `outside` when the expected answer holds no object with such a field.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

from bench import real_data
from relearn.repair.dump import DumpText
from relearn.repair.json import RecordSchema
from relearn.repair.rows import DumpRepairer

SOURCES = ("mangiucugna/json_repair", "josdejong/jsonrepair")


def kind(value: Any) -> str | None:
    """The kind of field a value is, None for one that repair does not read."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return "strings"
    return None


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of an answer that hold a field, outermost first; those inside such an object are left out."""
    if isinstance(value, list):
        for child in value:
            yield from objects(child)
    elif isinstance(value, dict):
        fields = {key: child for key, child in value.items() if key and kind(child)}
        if fields:
            yield fields
        else:
            for child in value.values():
                yield from objects(child)


def compare(raw: str, expected: Any) -> tuple[str, list[dict[str, Any]]]:
    """The verdict on a case, and the fields of the rows kept."""
    wanted = list(objects(expected))
    fields = {key: kind(value) or "" for record in wanted for key, value in record.items()}
    if not fields:
        rows = DumpRepairer(RecordSchema.of_texts(["agree", "disagree"]))
        return "outside", [row["fields"] for kept, row in rows.repair(DumpText(raw)) if kept]
    rows = DumpRepairer(RecordSchema(fields))
    kept = [row["fields"] for whole, row in rows.repair(DumpText(raw)) if whole]
    if all(record in kept for record in wanted) and all(record in wanted for record in kept):
        return "same", kept
    pairs = {(key, json.dumps(value)) for record in wanted for key, value in record.items()}
    found = {(key, json.dumps(value)) for record in kept for key, value in record.items()}
    if found - pairs:
        return "differs", kept
    return ("partly" if found else "refused"), kept


def main() -> int:
    """Prints the counts by source, and the cases with --show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    real_data.argument(parser)
    parser.add_argument("--show", action="store_true", help="print each case that is not the same")
    options = parser.parse_args()
    counts: dict[str, Counter[str]] = {source: Counter() for source in SOURCES}
    for line in real_data.lines(options.data / "malformed_json" / "pairs.jsonl"):
        case = json.loads(line)
        if case["source"] not in SOURCES:
            continue
        if not case["has_expected"]:
            verdict, kept = compare(case["raw"], None)
        else:
            verdict, kept = compare(case["raw"], case["expected"])
        counts[case["source"]][verdict] += 1
        if options.show and verdict in ("differs", "partly", "refused"):
            print(
                f"{verdict:8} {case['id']}\n  raw      {case['raw'][:200]!r}\n  expected {case['expected']!r:.200}\n  kept     {kept!r:.200}"
            )
    for source, found in counts.items():
        print(f"{source}: {sum(found.values())} cases: " + ", ".join(f"{n} {name}" for name, n in found.most_common()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
