"""`relearn compare --logs BASE TUNED`: a paired comparison of two evaluations from their logs; no model is run.

Exit status: 0; 1 for a mistake or a gate that cannot be judged; 3 for a gate that fails; 4 for one that is undecided.
See docs/compare.md, and docs/ci.md for CI.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from io import TextIOWrapper
from pathlib import Path
from types import MappingProxyType
from typing import Any, TextIO

from relearn.compare.logs import changes, export, gates, page, text
from relearn.compare.logs.result import Compared, Result
from relearn.errors import InputError
from relearn.escaping import shown
from relearn.files import atomic_write, write_json
from relearn.logs.find import find_runs, split_name
from relearn.logs.pairs import pair
from relearn.logs.table import Side, read_side

SUMMARY = "GITHUB_STEP_SUMMARY"
EXPORTED = "every_eval_ever"


@dataclass(frozen=True)
class Asked:
    """The options, as `relearn compare --help` lists them."""

    base: str
    tuned: str
    replayed: str | None = None
    cluster: str | None = None
    metric: Sequence[str] = ()
    lower_is_better: Sequence[str] = ()
    allow_unfinished: bool = False
    allow_other_prompts: bool = False
    require_within: Sequence[str] = ()
    fail_above: Sequence[str] = ()
    floor: Sequence[str] = ()
    gates: Path | None = None
    out: Path | None = None
    markdown: Path | None = None
    junit: Path | None = None
    seed: int = 1
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))


def run_options(options: Mapping[str, Any]) -> int:
    """`run`, from the options of `relearn compare` by name."""
    base, tuned = options["logs"]
    names = [field.name for field in fields(Asked) if field.name in options and field.name not in ("base", "tuned")]
    try:
        return run(Asked(base, tuned, **{name: options[name] for name in names}))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise InputError(f"{where}cannot be read or written ({error.strerror})") from None


def run(asked: Asked) -> int:
    """Reads, compares, judges, writes; the exit status. Raises InputError for what the user must fix."""
    # What can be refused without a log is refused first.
    _refuse_outputs(asked)
    rules = [gates.read_gate("require_within", one) for one in asked.require_within]
    rules += [gates.read_gate("fail_above", one) for one in asked.fail_above]
    floors: dict[str, float] = {}
    if asked.gates is not None:
        more, floors = gates.read_file(asked.gates)
        rules += more
    floors |= dict(map(gates.read_floor, asked.floor))
    result = compare(asked, rules, floors)
    remarks = write(result, asked)
    _say([f"compare: {' '.join(shown(note).split())}" for note in [*result.notes, *remarks]], sys.stderr)
    _say([text.terminal(result)], sys.stdout)
    _say(
        [f"compare: {shown(one.gate)} on {shown(one.task)}: {shown(one.reason)}" for one in result.rulings], sys.stderr
    )
    return result.status


def _say(lines: Sequence[str], stream: TextIO) -> None:
    """Prints what can be printed: neither a reader that has gone (`| head`) nor an old encoding changes the status."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    try:
        for line in lines:
            print(line, file=stream)
        if stream is not None:  # it is where a shell has closed it
            stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _refuse_outputs(asked: Asked) -> None:
    """InputError for outputs that would overwrite each other or what is read, or be read as a log by the next run."""
    files = [path for path in (asked.markdown, asked.junit) if path is not None]
    if len({path.resolve() for path in files}) < len(files):
        raise InputError(f"{files[0]}: --markdown and --junit must be two different files")
    read = [split_name(named)[0] for named in (asked.base, asked.tuned, asked.replayed) if named]
    read += [asked.gates] if asked.gates is not None else []
    for path in files:
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name a file")
    for path in [*files, *([asked.out] if asked.out is not None else [])]:
        for one in read:
            if one.resolve() in (path.resolve(), *path.resolve().parents):
                raise InputError(f"{path}: would be written to, and {one} is an input; write to another place")
    for one in read:
        if asked.out is not None and (asked.out / EXPORTED).resolve() in (one.resolve(), *one.resolve().parents):
            raise InputError(f"{one}: is an input, and --out {asked.out} would replace it; write to another folder")


def compare(asked: Asked, rules: Sequence[gates.Gate], floors: Mapping[str, float] = MappingProxyType({})) -> Result:
    """The comparison itself, with nothing written."""
    named = {"base": asked.base, "tuned": asked.tuned} | ({"replayed": asked.replayed} if asked.replayed else {})
    clusters: dict[str, int] = {}
    sides: dict[str, Side] = {}
    for role, path in named.items():
        side = sides[role] = read_side(role, path, find_runs(path, asked.cluster), clusters)
        _refuse_unfinished(side, asked.allow_unfinished)
    steps = [("base", "tuned")] + ([("tuned", "replayed"), ("base", "replayed")] if asked.replayed else [])
    rulings: list[gates.Ruling] = []
    found, notes = [], [note for side in sides.values() for note in side.notes]
    for before, after in steps:
        paired = pair(sides[before], sides[after], asked.cluster, asked.allow_other_prompts, asked.lower_is_better)
        measured, series = changes.measure_all(paired, asked.metric, asked.seed)
        skipped = {f"{task} {metric}": why for (task, metric), why in paired.skipped.items()}
        found.append(Compared(before, after, measured, series, paired.one_sided, skipped))
        if len(found) == 1:
            rulings = gates.judge_all(rules, series, paired.skipped, asked.allow_other_prompts, floors)
        notes += paired.notes
        for one in measured:
            if one.rounding:
                notes.append(
                    f"{one.task} {one.metric}: {one.rounding} of the changes counted are no larger than rounding errors"
                )
    models = {
        role: {
            "logs": side.name,
            "tool": side.runs[0].tool,
            "model": ", ".join(dict.fromkeys(run.model for run in side.runs if run.model)),
        }
        for role, side in sides.items()
    }
    return Result(models, found, rulings, list(dict.fromkeys(notes)), asked.cluster)


def _refuse_unfinished(side: Side, allowed: bool) -> None:
    for run in side.runs:
        if run.unfinished and not allowed:
            facts = "".join(f"; {note.removeprefix(f'{run.source}: ')}" for note in run.notes)
            raise InputError(f"{run.unfinished}{facts}. --allow-unfinished compares what there is")
        if run.unfinished:
            side.notes.insert(0, f"{side.role}: {run.unfinished}; comparing what there is of it")


def write(result: Result, asked: Asked) -> list[str]:
    """Every file that was asked for, each whole or not at all; returns what is to be said of them."""
    remarks = []
    summary = text.markdown(result)
    files = {asked.markdown: summary, asked.junit: text.junit(result)}
    if asked.out is not None:
        files |= {
            asked.out / "compare.md": summary,
            asked.out / "compare.html": page.render(result),
            asked.out / "junit.xml": text.junit(result),
        }
    for path, content in files.items():
        if path is not None:
            with atomic_write(path) as file:
                file.write(content)
    if asked.out is not None:
        write_json(asked.out / "comparison.json", result.as_json())
        write_json(asked.out / "metrics.json", export.few_figures(result))
        export.write_every_eval_ever(result, asked.out / EXPORTED)
        if not export.write_parquet(result, asked.out / "samples.parquet"):
            (asked.out / "samples.parquet").unlink(missing_ok=True)  # of an earlier run
            remarks.append("samples.parquet is not written: pip install pyarrow for it")
    if step := asked.environment.get(SUMMARY):
        try:
            with open(step, "a", encoding="utf-8") as file:
                file.write(summary + "\n")
        except OSError as error:  # a container may have the variable without the file
            remarks.append(f"{SUMMARY} {step}: cannot be written ({error.strerror}); the summary is not added there")
    return remarks
