"""How fast the repair command is, in CPU seconds of one core, start included.

    python -m bench.repair_speed [--replies 50000]

Clean and broken replies as JSON Lines, then 10 MB of one mark repeated: prints replies per second of processor time,
seconds, and the peak memory of the process, and writes bench/out/repair_speed.json. The replies are repaired once more
over two processes: how many times faster by the clock, and how much processor time that takes beside one process's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from bench import real_data
from bench.breaking import CLASSES, break_records
from bench.repair_fidelity import clean_records
from relearn.files import write_json
from relearn.workers import VARIABLE

UNITS = ("{", "[", '"', "\\", "```json\n")


def main() -> int:
    """Times the command on clean and on broken replies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    real_data.argument(parser)
    parser.add_argument("--replies", type=int, default=50_000)
    options = parser.parse_args()
    rng = random.Random(5)
    clean = clean_records(options.data, rng)
    single = [name for name in CLASSES if name != "repeated_dump"]
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("clean", "broken"):
            path = Path(folder) / f"{kind}.jsonl"
            characters = 0
            with path.open("w", encoding="utf-8") as file:
                for number in range(options.replies):
                    broken = None
                    while broken is None and kind == "broken":
                        broken = break_records(rng.sample(clean, 3), {single[number % len(single)]}, rng)
                    # A number at the end of each text, so that no row repeats another.
                    text = (
                        broken.text
                        if broken
                        else json.dumps({k: f"{v} ({number})" for k, v in rng.choice(clean).items()})
                    )
                    characters += len(text)
                    file.write(json.dumps({"id": str(number), "content": text}) + "\n")
            results[kind] = {**_timed(path), "characters": characters}
            results[f"{kind}, 2 processes"] = two = _timed(path, 2)
            print(
                f"{kind}: {options.replies / results[kind]['seconds']:.0f} replies/s of {characters // options.replies} "
                f"characters, peak {results[kind]['megabytes']:.0f} MB; over 2 processes "
                f"{results[kind]['clock'] / two['clock']:.2f} times as fast by the clock, "
                f"for {two['seconds'] / results[kind]['seconds']:.2f} times the processor time"
            )
        for unit in UNITS:
            path = Path(folder) / "unit.txt"
            path.write_text(unit * (10_000_000 // len(unit)), encoding="utf-8")
            results[repr(unit)] = _timed(path)
            print(f"10 MB of {unit!r}: {results[repr(unit)]['seconds']} s, {results[repr(unit)]['megabytes']} MB")
    write_json(Path("bench/out/repair_speed.json"), {"replies": options.replies, **results})
    return 0


def _timed(path: Path, workers: int = 1) -> dict[str, float]:
    """CPU seconds, seconds by the clock and peak memory of the command, from the kernel's account of the child."""
    started = time.perf_counter()
    child = os.fork()
    if child == 0:
        os.environ[VARIABLE] = str(workers)
        os.execv(sys.executable, [sys.executable, "-m", "relearn.repair", str(path), "--out", f"{path}.rows"])
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"the command failed with status {status}")
    return {
        "seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "clock": round(time.perf_counter() - started, 2),
        "megabytes": round(usage.ru_maxrss / 1024, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
