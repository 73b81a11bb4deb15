"""Time and peak memory of the stages that read rows, at 1,000 to 100,000 rows or more, and how both grow.

    python -m bench.scale                                  # ten minutes
    python -m bench.scale --sizes 1000000                  # 40 minutes or more, without generation
    python -m bench.scale --sizes 1000 10000 --parts repair --workers 1 2

`repair` and `scoring` are measured with each number of processes that --workers names (RELEARN_WORKERS): one, then two.

Parts, each size in a process of its own that calls the stage's own function in a folder of its own:
  prepare     stages.prepare, from a JSON Lines file of so many reviews (about 300 characters each), all of them used
  repair      stages.repair, from so many replies, three in ten of them broken
  scoring     evaluate_models on so many answers of each of three models, all metrics of the task, with
              1,000 bootstrap resamples and swaps
  generation  bench.generation's way `relearn`, against a server that answers at once

Writes bench/out/scale.json: for each part and size `seconds` (of the work, imports and the making of the inputs left
out, the start of further processes included), `cpu_seconds` (of all processes) and `peak_mb` (of the process, imports
included, or the most that several were seen to hold together); with several processes `times_faster`, the seconds of
one over theirs, and `cpu_share`, their CPU seconds over its: what sharing costs, on a busy machine too; for each part
`exponent`, the slope of log seconds over log rows from the second size on, and `mb_a_1000_rows` between the two largest
sizes. What was not run is not filled in; figures of other sizes and parts that are in the file stay, so that it can be
made bit by bit, as long as the machine that it names is this one.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped, unused-ignore]

from bench.machine import describe_machine
from bench.words import WORDS
from relearn.workers import VARIABLE

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out" / "scale.json"
SIZES = (1_000, 10_000, 100_000)
SHARED = ("repair", "scoring")
MOST = {"prepare": 1_000_000, "repair": 1_000_000, "scoring": 1_000_000, "generation": 100_000}


def text(rng: random.Random, count: int) -> str:
    """So many words that read like nothing, and never twice the same."""
    return " ".join(rng.choices(WORDS, k=count)) + f" {rng.getrandbits(48):x}."


def _params(**changes: Any) -> Any:
    """The parameters of the profile `files`, some groups changed."""
    from relearn.params import load

    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(ROOT / "profiles", Path(name) / "profiles")
        (Path(name) / "params.yaml").write_text("profile: files\nlr: 0.001\nseed: 7\nmethod: plain\n")
        params = load(Path(name))
    return params.model_copy(update=changes)


def prepare(rows: int, folder: Path) -> Callable[[], object]:
    """The stage over a file of so many reviews, nine tenths of them for training."""
    from stages import prepare as stage
    from stages.paths import Paths

    rng = random.Random(rows)
    source = folder / "data" / "sources" / "files"
    shutil.copytree(ROOT / "data" / "sources" / "files", source)
    (source / "reviews.csv").unlink()
    with open(source / "reviews.jsonl", "w") as file:
        for number in range(rows):
            row = {"review": text(rng, 55), "sentiment": ("positive", "negative")[number % 2]}
            file.write(json.dumps(row) + "\n")
    params = _params()
    reviews = params.prepare.by_task["reviews"].model_copy(
        update={
            "source": params.prepare.by_task["reviews"].source.model_copy(update={"path": "reviews.jsonl"}),
            "train": rows * 9 // 10, "val": rows // 100, "test": rows * 9 // 100,
        }
    )  # fmt: skip
    group = params.prepare.model_copy(update={"reviews": reviews, "near_duplicates": None})
    return lambda: stage.work(params.model_copy(update={"prepare": group}), Paths.of(folder))


def _reply(rng: random.Random, number: int) -> str:
    """An answer as teachers send them: seven in ten whole, the others with one of three common faults."""
    agree, disagree = f"I agree, {text(rng, 25)}", f"I disagree, {text(rng, 25)}"
    whole = json.dumps({"agree": agree, "disagree": disagree})
    return {
        7: f"```json\n{whole}\n```",
        8: f"Here you are: {whole} I hope it helps.",
        9: whole.replace("I agree,", 'I "agree",'),
    }.get(number % 10, whole)


def repair(rows: int, folder: Path) -> Callable[[], object]:
    """The stage over so many replies, each to a review of its own."""
    from relearn.files import write_jsonl
    from relearn.records import Reply, Source
    from stages import repair as stage
    from stages.paths import Paths

    rng = random.Random(rows)
    paths = Paths.of(folder)
    shutil.copytree(ROOT / "prompts", paths.prompts)
    write_jsonl(
        paths.source_rows,
        (
            Source(
                id=f"r{number:07d}",
                task="reviews",
                group=f"r{number:07d}",
                label=None,
                split="train",
                fields={"text": text(rng, 55)},
            )
            for number in range(rows)
        ),
    )
    for file in (paths.held_out_sources, paths.train):
        write_jsonl(file, [])
    write_jsonl(
        paths.replies,
        (
            Reply(
                id=f"r{number:07d}", task="reviews", content=_reply(rng, number), finish_reason="stop",
                model="bench", usage=None, request="0" * 64,
            )
            for number in range(rows)
        ),
    )  # fmt: skip
    params = _params()
    return lambda: stage.work(params, paths)


def scoring(rows: int, folder: Path) -> Callable[[], object]:
    """So many answers of each of three models to the general task, in clusters of four."""
    from relearn.evaluation import models as evaluation
    from relearn.evaluation.roles import ModelRoles, ScoredTask
    from relearn.params.evaluate import SandboxRules, Scoring
    from relearn.records import Prediction

    rng = random.Random(rows)
    references = [text(rng, 20) for _ in range(rows)]

    def answers(kept: float) -> list[Prediction]:
        return [
            Prediction(
                id=f"g{number}", task="general", group=f"c{number // 4}", prompt="Say it.", reference=reference,
                prediction=reference if rng.random() < kept else text(rng, 20), finish_reason="stop",
                nll=rng.uniform(20, 60), bytes=len(reference),
            )
            for number, reference in enumerate(references)
        ]  # fmt: skip

    predictions = {"base": answers(0.9), "2b": answers(0.3), "2c": answers(0.7)}
    group = _params().eval_3a.model_copy(update={"resamples": 1000})
    params = Scoring.join(group, SandboxRules(execute="off", timeout_s=2.0, memory_mb=512))
    task = ScoredTask("general", "watched", ("rouge_l", "bleu", "exact_match", "bpb"))
    return lambda: evaluation.evaluate_models(predictions, {}, params, 7, [task], ModelRoles("base", "2b", "2c"))


PARTS: dict[str, Callable[[int, Path], Callable[[], object]]] = {
    "prepare": prepare,
    "repair": repair,
    "scoring": scoring,
}


def one(part: str, rows: int) -> dict[str, Any]:
    """One part at one size, in this process and those that it starts."""
    with tempfile.TemporaryDirectory() as name:
        work = PARTS[part](rows, Path(name))
        os.sync()  # else the kernel writes the inputs out beside the work
        made = resource.getrusage(resource.RUSAGE_SELF)
        started = time.perf_counter()
        work()
        seconds = time.perf_counter() - started
    used, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "seconds": round(seconds, 3),
        "cpu_seconds": round(
            used.ru_utime + used.ru_stime - made.ru_utime - made.ru_stime + others.ru_utime + others.ru_stime, 3
        ),
        "peak_mb": round(used.ru_maxrss / 1024),
        "peak_before_mb": round(made.ru_maxrss / 1024),
    }


def held_together(pid: int) -> int:
    """Bytes that a process and all below it hold now, shared pages counted for each.

    The kernel's own peak of ended processes is no measure: one that was just forked counts all that its parent held.
    """
    held = 0
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                held += process.memory_info().rss
    return held


def measured(part: str, rows: int, workers: int) -> dict[str, Any]:
    """One part at one size, in a process of its own and those that it starts."""
    if part == "generation":
        command = ["bench.generation", "--requests", str(rows), "--latency", "0", "--only", "relearn"]
    else:
        command = ["bench.scale", "--one", part, str(rows)]
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, VARIABLE: str(workers)},
        stdout=subprocess.PIPE,
        text=True,
    )
    together = 0
    began = time.monotonic()
    while workers > 1 and process.poll() is None:
        together = max(together, held_together(process.pid))
        # A look takes 10 ms of one of the cores that are measured: five a second would take 5% of it from a long run.
        time.sleep(0.2 if time.monotonic() - began < 10 else 1)
    printed, _ = process.communicate()
    if process.returncode:
        sys.exit(f"scale: {part} at {rows:,} rows failed")
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    if workers > 1:
        found["peak_mb"] = round(together / 2**20)
    if part == "generation":
        found = {
            "seconds": found["seconds"],
            "cpu_seconds": round(found["cpu_ms_per_request"] * rows / 1000, 2),
            "peak_mb": found["peak_mb"],
        }
    return {"rows": rows, **found}


def growth(runs: list[dict[str, Any]]) -> dict[str, float]:
    """The exponent of time from the second size on (the first is mostly start-up), and the memory of a thousand rows."""
    if len(runs) < 2:
        return {}
    later = runs[1:] if len(runs) > 2 else runs
    pairs = [(math.log(run["rows"]), math.log(run["seconds"])) for run in later]
    mean_x = sum(x for x, _ in pairs) / len(pairs)
    mean_y = sum(y for _, y in pairs) / len(pairs)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in pairs) / sum((x - mean_x) ** 2 for x, _ in pairs)
    last, before = runs[-1], runs[-2]
    thousands = (last["rows"] - before["rows"]) / 1000
    return {"exponent": round(slope, 2), "mb_a_1000_rows": round((last["peak_mb"] - before["peak_mb"]) / thousands, 3)}


def table(found: dict[str, Any]) -> Iterator[str]:
    """The lines of the table in docs/benchmarks.md."""
    sizes = sorted({run["rows"] for part in found.values() for run in part["runs"]})
    yield ("| part | " + " | ".join(f"{rows:,} rows" for rows in sizes) + " | time grows as | memory a 1,000 rows |")
    yield "| --- |" + " --- |" * (len(sizes) + 2)
    for name, part in found.items():
        by_size = {run["rows"]: run for run in part["runs"]}
        cells = [_cell(by_size[rows]) if rows in by_size else "not run" for rows in sizes]
        grows = "– | –"
        if "exponent" in part:
            grows = f"rows^{part['exponent']:.2f} | {part['mb_a_1000_rows']:.2f} MB"
        yield f"| {name} | " + " | ".join(cells) + f" | {grows} |"


def _cell(run: dict[str, Any]) -> str:
    """Seconds, memory, and with several processes how many times faster than one."""
    times = f", {run['times_faster']:.2f} times faster" if "times_faster" in run else ""
    return f"{run['seconds']:.1f} s, {run['peak_mb']:,} MB{times}"


def _read_measured(machine: str) -> dict[str, Any]:
    """What the file holds of this machine: figures of two do not share a table."""
    if not OUT.is_file():
        return {}
    kept = json.loads(OUT.read_text(encoding="utf-8"))
    return dict(kept["parts"]) if kept.get("machine") == machine else {}


def main() -> None:
    """Measures and writes the table's figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--parts", nargs="+", choices=MOST, default=list(MOST))
    parser.add_argument("--workers", type=int, nargs="+", default=(1, 2))
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.one[0], int(options.one[1]))))
        return
    machine = describe_machine()
    found = _read_measured(machine)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    for part in options.parts:
        for workers in sorted(options.workers) if part in SHARED else (1,):
            name = part if workers == 1 else f"{part}, {workers} processes"
            for rows in sorted(size for size in options.sizes if size <= MOST[part]):
                run = measured(part, rows, workers)
                alone = [each for each in found.get(part, {}).get("runs", ()) if each["rows"] == rows]
                if workers > 1 and alone:
                    run["times_faster"] = round(alone[0]["seconds"] / run["seconds"], 2)
                    run["cpu_share"] = round(run["cpu_seconds"] / alone[0]["cpu_seconds"], 2)
                print(name, json.dumps(run), flush=True)
                others = [each for each in found.get(name, {}).get("runs", ()) if each["rows"] != rows]
                runs = sorted([*others, run], key=lambda each: each["rows"])
                found[name] = {"runs": runs, **growth(runs)}
                OUT.write_text(json.dumps({"machine": machine, "parts": found}, indent=2) + "\n", encoding="utf-8")
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
