"""How faithful repair is: clean records are broken by class, alone and two at once, and repaired again.

    python -m bench.repair_fidelity [--records 20000] [--seed 5] [--peer-share 1.0] [--show 0]

Prints for each class the share of recoverable fields that came back exact, refused or wrong (a character differs,
or a field that was cut is given as whole), beside json-repair alone on the same input. Writes
bench/out/repair_fidelity.json.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import json_repair

from bench import real_data
from bench.breaking import CLASSES, FIELDS, Broken, Record, break_records, compatible
from relearn.files import write_json
from relearn.repair.dump import DumpText
from relearn.repair.json import RecordSchema
from relearn.repair.rows import DumpRepairer

Kept = list[dict[str, str]]
SENTENCE = re.compile(r"(?<=[.!?])\s+")


def clean_records(data: Path, rng: random.Random) -> list[Record]:
    """Records made of real texts: sentences of film reviews, Python instructions and programs."""
    prose: list[str] = []
    for line in real_data.lines(data / "imdb" / "imdb_1000.jsonl"):
        sentences = SENTENCE.split(json.loads(line)["text"])
        while sentences:
            size = rng.randint(1, 4)
            prose.append(" ".join(sentences[:size])[:900].strip())
            sentences = sentences[size:]
    code: list[str] = []
    for line in real_data.lines(data / "python_instruct" / "python_2000.jsonl"):
        row = json.loads(line)
        code += [text[:900].strip() for text in (row["output"], row["instruction"])]
    texts = [text for text in prose if len(text) >= 20], [text for text in code if len(text) >= 20]
    records = []
    for _ in range(4000):
        pick = [rng.choice(rng.choice(texts)) for _ in FIELDS]
        if pick[0] != pick[1]:
            records.append(dict(zip(FIELDS, pick, strict=True)))
    return records


def mine(text: str) -> Kept:
    """The fields of the rows that relearn.repair keeps."""
    rows = DumpRepairer(RecordSchema.of_texts(FIELDS))
    return [row["fields"] for kept, row in rows.repair(DumpText(text)) if kept]


def peer(text: str) -> Kept:
    """The objects with a known key, in any case, in json-repair's answer."""
    try:
        value = json_repair.loads(text)
    except (RecursionError, ValueError, IndexError, TypeError):
        return []
    return list(_objects(value))


def _objects(value: Any) -> Iterator[dict[str, str]]:
    if isinstance(value, list):
        for child in value:
            yield from _objects(child)
    elif isinstance(value, dict):
        found = {
            key.casefold(): child
            for key, child in value.items()
            if isinstance(key, str) and key.casefold() in FIELDS and isinstance(child, str)
        }
        if found:
            yield found
        for child in value.values():
            yield from _objects(child)


def judge(broken: Broken, kept: Kept) -> Counter[str]:
    """Counts fields: exact, refused, wrong; `beyond` are those that cannot be recovered.

    Wrong are: a text that is no recoverable field (so also a cut one given as whole), and a row that pairs fields
    of two records.
    """
    counts: Counter[str] = Counter()
    pairs = list(zip(broken.records, broken.recoverable, strict=True))
    whole = {(name, record[name]) for record, fine in pairs for name in fine}
    seen = set()
    for row in kept:
        owners = [
            {number for number, record in enumerate(broken.records) if record[name] == value}
            for name, value in row.items()
            if (name, value) in whole
        ]
        mixed = len(owners) > 1 and not set.intersection(*owners)
        for name, value in row.items():
            if (name, value) not in whole or mixed:
                counts["wrong"] += 1
            else:
                seen.add((name, value))
    for record, fine in pairs:
        for name in FIELDS:
            if name not in fine:
                counts["beyond"] += 1
            else:
                counts["recoverable"] += 1
                counts["exact" if (name, record[name]) in seen else "refused"] += 1
    return counts


def cases(records: int) -> Iterable[tuple[str, ...]]:
    """Classes in turn: a third of the records broken once, the rest by every pair that can be had, evenly."""
    pairs = [pair for pair in combinations(CLASSES, 2) if compatible(*pair)]
    for number in range(records):
        if number % 3 == 0:
            yield (CLASSES[number // 3 % len(CLASSES)],)
        else:
            yield pairs[(number - number // 3) % len(pairs)]


def main() -> int:
    """Runs the benchmark; exit status 1 when a field came back wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    real_data.argument(parser)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--peer-share", type=float, default=1.0, help="share of the records json-repair is run on")
    parser.add_argument("--show", type=int, default=0, help="print this many wrong answers")
    parser.add_argument("--refused", action="store_true", help="count refusals among the failures to show")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    clean = clean_records(options.data, rng)
    peer_rng = random.Random(options.seed + 1)
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    peers: dict[str, Counter[str]] = defaultdict(Counter)
    clocks: Counter[str] = Counter()
    shown = written = 0
    for classes in cases(options.records):
        broken = None
        while broken is None:
            broken = break_records(rng.sample(clean, 3), set(classes), rng)
        written += 1
        started = time.perf_counter()
        kept = mine(broken.text)
        clocks["mine"] += time.perf_counter() - started
        counts = judge(broken, kept)
        if shown < options.show and (counts["wrong"] or (counts["refused"] and options.refused)):
            shown += 1
            print(f"--- {classes} {dict(counts)}\n{broken.text!r}\nkept {kept}\nrecords {broken.records}")
        groups = [f"alone: {classes[0]}"] if len(classes) == 1 else [f"pair: {name}" for name in classes]
        groups += [" + ".join(classes)] if len(classes) == 2 else []
        for group in [*groups, "all"]:
            totals[group] += counts
        if peer_rng.random() < options.peer_share:
            theirs = judge(broken, peer(broken.text))
            for group in [*groups, "all"]:
                peers[group] += theirs
    report(totals, peers)
    fields = totals["all"]["recoverable"] + totals["all"]["beyond"]
    print(
        f"{written} broken texts, {fields} fields, {totals['all']['recoverable'] / fields:.1%} recoverable; "
        f"{written / clocks['mine']:.0f} texts/s"
    )
    pairs = {name: row for name, row in totals.items() if " + " in name}
    worst = sorted(pairs, key=lambda name: _share(pairs[name], "exact"))[:10]
    print("worst pairs: " + "; ".join(f"{name} {_share(pairs[name], 'exact'):.1%}" for name in worst))
    write_json(
        Path("bench/out/repair_fidelity.json"),
        {
            "texts": written,
            "seed": options.seed,
            "recoverable": round(totals["all"]["recoverable"] / fields, 4),
            "repair": {name: dict(sorted(row.items())) for name, row in sorted(totals.items())},
            "json_repair": {name: dict(sorted(row.items())) for name, row in sorted(peers.items())},
        },
    )
    return 1 if totals["all"]["wrong"] else 0


def _share(counts: Counter[str], name: str) -> float:
    return counts[name] / counts["recoverable"] if counts["recoverable"] else 1.0


def report(totals: dict[str, Counter[str]], peers: dict[str, Counter[str]]) -> None:
    """Prints the table: shares of the recoverable fields; `wrong` in fields."""
    print(f"{'class':32} {'fields':>7} {'exact':>8} {'refused':>8} {'wrong':>6}   json-repair: exact  wrong")
    for name in [f"{how}: {name}" for how in ("alone", "pair") for name in CLASSES] + ["all"]:
        row, theirs = totals[name], peers[name]
        print(
            f"{name:32} {row['recoverable']:>7} {_share(row, 'exact'):>8.2%} {_share(row, 'refused'):>8.2%} "
            f"{row['wrong']:>6}   {_share(theirs, 'exact'):>18.2%} {theirs['wrong']:>6}"
        )


if __name__ == "__main__":
    sys.exit(main())
