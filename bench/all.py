"""Runs every benchmark against its peers, one after the other, and writes docs/benchmarks.md from the results.

    make bench                               # an hour and a half; after `make repro`, whose models and data some rows use
    python -m bench.all --quick              # each at its smallest: does everything run?
    python -m bench.all --only scoring repro
    python -m bench.all --write              # the page alone, from bench/out/

Peers that do not install beside the project's pins get an environment of their own in .cache/bench/peers, made from
bench/requirements.txt. Rows run one at a time, and sides within a row take turns. What a row measured is in bench/out/
as JSON; a row that could not run, or a peer that could not be installed, is named on the page with the reason.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.machine import describe_machine
from bench.scale import table as scale_table
from relearn.files import atomic_write, write_json

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out"
PAGE = ROOT / "docs" / "benchmarks.md"
PEERS = ROOT / ".cache" / "bench" / "peers"
Cells = tuple[str, str, str, str]  # what, ours, the peer's, ratio


@dataclass(frozen=True)
class Row:
    """A benchmark: its commands (after `python -m`), the quick ones, and the page's lines from its JSON."""

    name: str
    commands: Sequence[str]
    quick: Sequence[str]
    cells: Callable[[Any], Iterator[Cells]]


def _generation(found: Any) -> Iterator[Cells]:
    ways = {name: runs for name, runs in found["ways"].items() if runs}

    def rate(name: str) -> float:
        return statistics.median(run["requests"] / run["seconds"] for run in ways[name])

    ours = rate("relearn")
    share = statistics.median(run["whole_share"] for run in ways["relearn"])
    said = f"{ours:.0f} requests/s, {share:.0%} of the ideal"
    for name, title in (
        ("distilabel", "distilabel 1.5.3"),
        ("one-by-one", "the one-by-one loop"),
        ("bare", "`AsyncOpenAI` and a semaphore, no journal"),
    ):
        if name in ways:
            yield f"generation, {title}", said, f"{rate(name):.0f} requests/s", f"{ours / rate(name):.1f}"
        else:
            yield f"generation, {title}", said, f"not run: {found['reasons'].get(name, 'not asked for')}", "–"


def _repair(found: Any) -> Iterator[Cells]:
    ours, theirs = found["repair"]["all"], found["json_repair"]["all"]
    exact, their_exact = (each["exact"] / each["recoverable"] for each in (ours, theirs))
    yield (
        f"repair, json_repair ({found['texts']:,} broken texts): fields exact",
        f"{exact:.2%}", f"{their_exact:.2%}", f"{exact / their_exact:.2f}",
    )  # fmt: skip
    wrong, their_wrong = ours.get("wrong", 0), theirs.get("wrong", 0)
    yield (
        "repair, json_repair: fields wrong",
        f"{wrong:,}",
        f"{their_wrong:,}",
        "–" if not wrong else f"{their_wrong / wrong:.0f}",
    )


def _training(found: Any) -> Iterator[Cells]:
    yield (
        "training, TRL's SFTTrainer", f"{found['ours_tokens_per_s']:,} tokens/s",
        f"{found['trl_tokens_per_s']:,} tokens/s", f"{found['ratio']:.2f}",
    )  # fmt: skip
    yield (
        "training, an fp32 matrix product", f"{found['peak_share'] * found['peak_gflops']:.0f} GFLOP/s",
        f"{found['peak_gflops']:.0f} GFLOP/s", f"{found['peak_share']:.2f}",
    )  # fmt: skip


def _decoding(found: Any) -> Iterator[Cells]:
    ours = found["ways"]["ours"]["seconds"]
    for way, title in (
        ("batch", "a plain transformers batch"),
        ("one_at_a_time", "one at a time"),
        ("reload", "one at a time, the model loaded for each (the original's)"),
    ):
        theirs = found["ways"][way]
        load = f", load {theirs['load']}" if "load" in theirs else ""
        note = f" ± {theirs['standard_error']:.0f} (extrapolated)" if "standard_error" in theirs else ""
        yield (
            f"decoding, {title}",
            f"{ours:.1f} s",
            f"{theirs['seconds']:.1f} s{note}{load}",
            f"{theirs['seconds'] / ours:.1f}",
        )


def _real(found: Any) -> Iterator[Cells]:
    training, decoding, likelihoods = found["training"], found["decoding"], found["likelihoods"]
    precision = training["precision"]
    yield (
        f"SmolLM2-135M, training in {precision}, TRL's SFTTrainer", f"{training['ours_tokens_per_s']:,} tokens/s",
        f"{training['trl_tokens_per_s']:,} tokens/s", f"{training['ratio']:.2f}",
    )  # fmt: skip
    yield (
        f"SmolLM2-135M, training, a {precision} matrix product", f"{training['peak_share'] * training['peak_gflops']:.0f} GFLOP/s",
        f"{training['peak_gflops']:.0f} GFLOP/s", f"{training['peak_share']:.2f}",
    )  # fmt: skip
    fastest, rates = decoding["fastest"], decoding["tokens_per_s"]
    for way, title in (("generate", "transformers' `generate`"), ("vllm", "vLLM's CPU build")):
        if way not in fastest:
            yield f"SmolLM2-135M, decoding, {title}", "", "not run: no `--vllm`", "–"
            continue
        ours, theirs = f"ours {fastest['ours']}", f"{way} {fastest[way]}"
        asked = f"SmolLM2-135M, decoding {decoding['prompts']} prompts, {title}"
        if "ours bf16" in rates:
            yield (
                f"{asked}, each in its fastest precision",
                f"{rates[ours]:.0f} tokens/s ({fastest['ours']})", f"{rates[theirs]:.0f} tokens/s ({fastest[way]})",
                f"{decoding['ratio'][way]:.2f}",
            )  # fmt: skip
        yield (
            f"{asked}, both in fp32: {decoding['same_in_fp32'][way]} answers equal",
            f"{rates['ours fp32']:.0f} tokens/s", f"{rates[f'{way} fp32']:.0f} tokens/s", f"{decoding['ratio_fp32'][way]:.2f}",
        )  # fmt: skip
    for what, share, peak in (
        ("decoding", decoding["peak_share"], decoding["peak_gflops"]),
        (
            "likelihoods",
            {f"ours {each}": run["peak_share"] for each, run in likelihoods.items()},
            {f"ours {each}": run["peak_gflops"] for each, run in likelihoods.items()},
        ),
    ):
        for side, one in share.items():
            limit, precision = peak[side], side.removeprefix("ours ")
            yield (
                f"SmolLM2-135M, {what}, a {precision} matrix product", f"{one * limit:.0f} GFLOP/s", f"{limit:.0f} GFLOP/s",
                f"{one:.2f}",
            )  # fmt: skip


def _scoring(found: Any) -> Iterator[Cells]:
    seconds = found["seconds"]
    yield (
        f"scoring of {found['answers']:,} answers, the original's way", f"{seconds['relearn']:.1f} s",
        f"{seconds['original']:.1f} s", f"{found['ratio']:.1f}",
    )  # fmt: skip
    whole = seconds["with_intervals"]
    yield (
        "the same, ours with intervals and tests", f"{whole:.1f} s", f"{seconds['original']:.1f} s, without any",
        f"{seconds['original'] / whole:.1f}",
    )  # fmt: skip


def _repro(found: Any) -> Iterator[Cells]:
    yield (
        f"`dvc repro`, profile {found['profile']}: warm (wanted: {found['wanted_s']:.1f} s), cold",
        f"{found['warm_s']:.1f} s", f"{found['cold_s']:.1f} s",
        f"{found['ratio']:.0f}",
    )  # fmt: skip
    yield (
        "cold `dvc repro`, the stages without DVC", f"{found['cold_s']:.1f} s", f"{found['plain_s']:.1f} s",
        f"{found['plain_s'] / found['cold_s']:.2f}",
    )  # fmt: skip


ROWS = (
    Row("generation", (), (), _generation),
    Row("repair_fidelity", ("bench.repair_fidelity",), ("bench.repair_fidelity --records 300",), _repair),
    Row("tuning", ("bench.tuning",), ("bench.tuning --rounds 1 --epochs 1 --rows 64",), _training),
    Row("real", ("bench.real",), ("bench.real --rounds 1 --rows 24 --prompts 2",), _real),
    Row("decoding", ("bench.decoding",), ("bench.decoding --limit 4 --sample 1",), _decoding),
    Row("scoring", ("bench.scoring",), ("bench.scoring --rounds 1 --limit 20",), _scoring),
    Row("repro", ("bench.repro",), ("bench.repro --rounds 1",), _repro),
    Row("scale", ("bench.scale",), ("bench.scale --sizes 100 1000",), lambda found: iter(())),
)  # fmt: skip


def _ran(command: str) -> subprocess.CompletedProcess[str]:
    print(f"--- python -m {command}", flush=True)
    return subprocess.run(
        [sys.executable, "-m", *command.split()], cwd=ROOT, capture_output=True, text=True, check=False
    )


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1][:200] if lines else f"status {done.returncode}"


def _peers() -> tuple[str, str | None]:
    """The interpreter of the peers' environment, made when it is missing; and why it could not be, if so."""
    python = PEERS / "bin" / "python"
    if (PEERS / "done").exists():
        return str(python), None
    wanted = [
        line.partition("#")[0].strip()
        for line in (ROOT / "bench" / "requirements.txt").read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith(("#", "trl"))  # bench.tuning installs trl beside the project's own
    ]
    print("making the peers' environment", flush=True)
    for command in ([sys.executable, "-m", "venv", str(PEERS)], [str(python), "-m", "pip", "install", "-q", *wanted]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return str(python), f"cannot be installed: {_reason(done)}"
    (PEERS / "done").write_text("")
    return str(python), None


def _run_generation(quick: bool) -> str | None:
    """Runs the ways in turn and gathers their lines, which bench.generation prints."""
    python, reason = _peers()
    sizes = "--requests 200 --concurrency 16 --latency 0.1" if quick else "--requests 5000"
    ways = "--only relearn --only bare" + ("" if reason else f" --only distilabel --python {python}")
    slow = f"--only bare --concurrency 1 --requests {10 if quick else 100}" + (" --latency 0.1" if quick else "")
    found: dict[str, Any] = {"ways": {}, "reasons": {"distilabel": reason} if reason else {}}
    for command, name in (
        (f"bench.generation {sizes} --repeat {1 if quick else 3} {ways}", None),
        (f"bench.generation {slow}", "one-by-one"),
    ):
        requests = int(re.findall(r"--requests (\d+)", command)[0])
        for line in _ran(command).stdout.splitlines():
            print(line, flush=True)
            if line.startswith("{"):
                run = json.loads(line)
                found["ways"].setdefault(name or run["way"], []).append({"requests": requests, **run})
            elif ": " in line:
                found["reasons"][line.partition(": ")[0]] = line.partition(": ")[2]
    write_json(OUT / "generation.json", found)
    return None if "relearn" in found["ways"] else "bench.generation gave no figures"


def run(row: Row, quick: bool, vllm: str | None = None) -> str | None:
    """Runs a row; None, or why it could not be measured."""
    if row.name == "generation":
        return _run_generation(quick)
    for command in row.quick if quick else row.commands:
        done = _ran(f"{command} --vllm {vllm}" if vllm and row.name == "real" else command)
        print(done.stdout, end="", flush=True)
        if done.returncode:
            return _reason(done)
    return None


def page(out: Path, reasons: dict[str, str]) -> str:
    """docs/benchmarks.md from the JSON files in `out`; `reasons` say why a row has none."""
    lines = [
        "# Benchmarks",
        "",
        "Made by `make bench` (`python -m bench.all`), which runs every benchmark of `bench/` beside its peers in one go; each",
        "module's docstring says what is measured and how. Sides take turns, medians count, and the JSON with every run is in",
        "`bench/out/`. A ratio above 1 means that the peer takes that many times longer (for shares: reaches that much less).",
        "With `--only` rows are measured at different times; a load beside a figure is the machine's, the benchmark itself included.",
        "",
        f"Machine: {describe_machine()}.",
        "",
        "| what, and against what | here | the peer | ratio |",
        "| --- | --- | --- | ---: |",
    ]
    commands = []
    for row in ROWS:
        file = out / f"{row.name}.json"
        shown = (
            " && ".join(f"python -m {command}" for command in row.commands) or "python -m bench.all --only generation"
        )
        commands.append(f"| {row.name} | `{shown}` |")
        if row.name in reasons or not file.is_file():
            lines.append(f"| {row.name} | not run: {reasons.get(row.name, 'nothing in bench/out/')} | | – |")
        else:
            cells = row.cells(json.loads(file.read_text(encoding="utf-8")))
            lines += [f"| {' | '.join(each)} |" for each in cells]
    scale = out / "scale.json"
    if scale.is_file() and "scale" not in reasons:
        measured = json.loads(scale.read_text(encoding="utf-8"))
        lines += ["", "## Scale", "", f"Machine: {measured['machine']}.", ""]
        lines += [*scale_table(measured["parts"]), "", SCALE]
    lines += ["", "## The commands", "", "| row | command |", "| --- | --- |", *commands, ""]
    return "\n".join(lines)


SCALE = """Seconds are the work's own, memory the process's peak with its imports. `generation` keeps neither questions nor answers
in memory. `repair` reads the reviews beside the replies to them and keeps 12 to 24 bytes for each text it has seen;
`prepare` holds the rows it has chosen (here all of them), since they are shuffled; `scoring`, whose rows are answers of
each of three models, holds every answer (three fifths of its memory) and every item's scores, which the bootstrap draws
from; nearly all its time goes into the metrics, two fifths of it into looking for code and a fifth into ROUGE-L. `repair`
and `scoring` also work over processes: their lines for two say how many times faster they are than one, and the memory
of all processes together; up to 10,000 replies they are one process too, and differ as this machine does from minute to
minute. `python -m bench.scale --sizes 1000000` adds the column of a million rows (40 minutes on this machine). What was
not run is not filled in."""


def main() -> None:
    """Runs the rows asked for and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [row.name for row in ROWS]
    parser.add_argument(
        "--quick", action="store_true", help="run each at its smallest; print the page, and write nothing"
    )
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--vllm", metavar="PYTHON", help="for `bench.real`: an interpreter that has vLLM's CPU build")
    parser.add_argument("--write", action="store_true", help="run nothing; write the page from bench/out/")
    options = parser.parse_args()
    reasons: dict[str, str] = {}
    for row in () if options.write else ROWS:
        if row.name in options.only and (reason := run(row, options.quick, options.vllm)):
            reasons[row.name] = reason
            print(f"{row.name}: {reason}", flush=True)
    text = page(OUT, reasons)
    if options.quick:
        print(text)
    else:
        with atomic_write(PAGE) as file:
            file.write(text)
        print(f"written: {PAGE.relative_to(ROOT)}")
    if reasons:
        sys.exit(f"bench: not measured: {', '.join(reasons)}")


if __name__ == "__main__":
    main()
