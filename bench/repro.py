"""`dvc repro` cold and warm: the whole chain from nothing, and again when nothing has changed.

    python -m bench.repro [--profile tiny] [--rounds 5]

In a clone of the working tree with a DVC cache of its own. Cold runs once; warm `--rounds` times, of which the median
counts. Beside it: the stages one after the other without DVC (`plain`), what DVC itself costs; and `dvc status`, the
start of DVC's program without a chain. `wanted_s` is what a warm run may take. Writes bench/out/repro.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from ruamel.yaml import YAML

from relearn.files import write_json
from tests.integration.conftest import Clone, make

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out" / "repro.json"
WANTED = 2.0


def seconds(clone: Clone, *command: str) -> float:
    """The time of one command, which must end well."""
    started = time.perf_counter()
    clone.run(*command)
    return round(time.perf_counter() - started, 2)


def main() -> None:
    """Makes the clone, and times it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="tiny")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        clone = make(Path(name) / "clone", Path(name) / "home")
        clone.free_threads()
        clone.edit("params.yaml", "profile: tiny", f"profile: {options.profile}")
        cold = seconds(clone, "dvc", "repro")
        warm = [seconds(clone, "dvc", "repro") for _ in range(options.rounds)]
        status = [seconds(clone, "dvc", "status") for _ in range(options.rounds)]
        stages = YAML(typ="safe").load(clone.folder / "dvc.yaml")["stages"]
        plain = sum(seconds(clone, "python", "-m", f"stages.{stage}") for stage in stages)
    result = {
        "profile": options.profile,
        "ratio": round(cold / statistics.median(warm), 1),
        "cold_s": cold,
        "warm_s": statistics.median(warm),
        "warm_runs": warm,
        "status_s": statistics.median(status),
        "plain_s": round(plain, 2),
        "wanted_s": WANTED,
    }
    write_json(OUT, result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
