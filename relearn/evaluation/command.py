"""Scores a file of predictions with the metrics of eval_3a.

    relearn score PREDICTIONS.jsonl [--task NAME] [--metrics NAMES] [--json OUT]

Rows are JSON objects with `prompt`, `reference` (null where there is none) and `prediction`; `tests` (a list of
asserts), `nll` (nats) with `bytes`, `finish_reason`, `id`, `group` and `task` are used where present, other keys ignored.
Reasoning is removed from answers first, and counted. Prints one flat JSON object, the names and values those of the
stage; progress and warnings go to stderr.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from relearn.commands import SETTINGS, SHARED, run_command
from relearn.errors import InputError
from relearn.evaluation.roles import ScoredTask
from relearn.evaluation.shares import examine, share_out
from relearn.evaluation.tasks import TaskScores, choose_metrics, metrics_for, score_task
from relearn.files import read_json_lines, write_json
from relearn.finish_reasons import read_ending
from relearn.metrics.metric import all_metrics
from relearn.params.evaluate import Scoring
from relearn.progress import say
from relearn.records import Prediction

CUT_SHARE = 0.1


def _score(predictions: Path, task: str | None, metrics: str | None, json_out: Path | None, **options: Any) -> None:
    if json_out is not None and json_out.resolve() == predictions.resolve():
        raise click.UsageError(f"{json_out} is the input; write to another file")
    try:
        listed = None if metrics is None else tuple(metrics.replace(",", " ").split())
        found = score_file(predictions, task, listed, _params(**options))
        if json_out is not None:
            write_json(json_out, found)
    except InputError as error:
        print(f"score: {error}", file=sys.stderr)
        click.get_current_context().exit(1)
    except OSError as error:
        print(f"score: {error.filename or predictions}: {error.strerror}; choose another file", file=sys.stderr)
        click.get_current_context().exit(1)
    print(json.dumps(found, ensure_ascii=False, indent=2, allow_nan=False))


FILE: Any = click.Path(path_type=Path)
command = click.Command(
    "score",
    callback=_score,
    help="Score a file of predictions (JSON Lines: prompt, reference, prediction) as stage eval_3a does.",
    epilog=SHARED,
    context_settings=SETTINGS,
    params=[
        click.Argument(["predictions"], type=FILE),
        click.Option(["--task"], metavar="NAME", help="Score only the rows of this task, where the file has several."),
        click.Option(
            ["--metrics"],
            metavar="NAMES",
            help="Metrics beside the standard ones, separated by commas, such as stance (default: bertscore, pass_at_1, and "
            "codebleu where the references are mostly code).",
        ),
        click.Option(["--json", "json_out"], type=FILE, metavar="OUT", help="Also write the result to this file."),
        click.Option(["--encoder"], default="minilm", help="BERTScore's encoder: minilm, a folder or a hub name."),
        click.Option(["--encoder-layers"], type=int, help="Layer that BERTScore reads (default: the last)."),
        click.Option(["--no-stemmer"], is_flag=True, help="ROUGE-L without Porter's stemmer."),
        click.Option(
            ["--cut-share"],
            type=click.FloatRange(0, 1),
            default=CUT_SHARE,
            help="Share of answers that may have ended at their cap before a warning (default: 0.1).",
        ),
        click.Option(
            ["--execute"],
            type=click.Choice(["off", "strict", "best_effort"]),
            default="off",
            help="Run the rows' tests for pass@1 (default: off).",
        ),
        click.Option(["--timeout"], type=float, default=2.0, help="CPU seconds of one program (default: 2)."),
        click.Option(["--memory"], type=int, default=512, help="MiB of one program (default: 512)."),
    ],
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns 0, or 1 with one line on stderr; SystemExit (2) for wrong options."""
    return run_command(command, arguments, "python -m relearn.scoring")


def _params(
    encoder: str,
    encoder_layers: int | None,
    no_stemmer: bool,
    cut_share: float,
    execute: Any,
    timeout: float,
    memory: int,
) -> Scoring:
    if not 0 < timeout <= 600:
        raise InputError(f"--timeout {timeout:g}: expected more than 0 and at most 600 seconds")
    if memory < 32:
        raise InputError(f"--memory {memory}: expected at least 32 MiB")
    if encoder_layers is not None and encoder_layers < 1:
        raise InputError(f"--encoder-layers {encoder_layers}: expected at least 1")
    return Scoring(
        encoder=encoder,
        encoder_layers=encoder_layers,
        cut_share=cut_share,
        rouge_stemmer=not no_stemmer,
        execute=execute,
        timeout_s=timeout,
        memory_mb=memory,
        resamples=1000,
        swaps=1000,
    )


def score_file(
    path: Path, task: str | None, listed: tuple[str, ...] | None, params: Scoring
) -> dict[str, float | int | str | None]:
    """The flat result for a file: values by name, then counts. Raises InputError naming the file and line.

    `task` chooses among the rows' own; `listed` are the metrics that come first, by default those that fit any text.
    """
    rows = list(_rows(path))
    if not rows:
        raise InputError(f"{path}: no rows; expected one JSON object a line with prompt, reference and prediction")
    own = {row["task"] for _, row in rows if isinstance(row.get("task"), str)}
    if task is None and len(own) > 1:
        raise InputError(f"{path}: rows of {len(own)} tasks ({', '.join(sorted(own))}); choose one with --task")
    if task is not None and own:
        rows = [(number, row) for number, row in rows if row.get("task") == task]
        if not rows:
            raise InputError(f"{path}: no row of task {task}; it has rows of {', '.join(sorted(own))}")
    chosen = task or next(iter(own), "")
    predictions = [_prediction(number, row, chosen) for number, row in rows]
    tests = {p.id: row["tests"] for p, (_, row) in zip(predictions, rows, strict=True) if row.get("tests")}
    references = [row.reference for row in predictions]
    with share_out(len(predictions)) as workers:
        code = examine(references, workers).code
        scored = ScoredTask(chosen, "watched", metrics_for(code) if listed is None else listed)
        try:
            metrics = choose_metrics(scored.metrics, code, params.execute)
        except InputError as error:
            raise InputError(f"--metrics: {error}") from None
        for name in list(metrics):
            lacking = all_metrics()[name].lacks()
            if lacking:
                say(f"score: {name} is left out: {' and '.join(lacking)} not installed; install the extra `models`")
                del metrics[name]
        _tell_absent(listed or (), predictions, tests, params)
        made = score_task(scored, predictions, tests, params, metrics, workers=workers)
    if made.cut_share > params.cut_share:
        say(f"score: warning: {made.counts['cut']:.0f} of {len(made.ids)} answers ended at their cap; raise it")
    if not any(row.get("finish_reason") for _, row in rows):
        del made.counts["cut"]  # nobody knows
    for note in made.notes:
        say(f"score: warning: {note}")
    return flat(made)


def _tell_absent(
    listed: Sequence[str], predictions: Sequence[Prediction], tests: Mapping[str, list[str]], params: Scoring
) -> None:
    """Says which of the metrics that were asked for cannot be computed, and why."""
    held = {
        "references": any(row.reference for row in predictions),
        "tests": bool(tests),
        "nll": any(row.nll is not None for row in predictions),
        "bytes": any(row.bytes for row in predictions),
        "passed": False,
    }
    for name in listed:
        metric = all_metrics()[name]
        lacking = [
            {"passed": "checks, as items of a suite do"}.get(need, need)
            for need in metric.needs
            if not held.get(need, True)
        ]
        if "execute" in metric.options and params.execute == "off":
            say(f"score: {name} is left out: it runs the rows' tests; choose --execute strict or best_effort")
        elif lacking:
            say(f"score: {name} is left out: no row has {' and '.join(lacking)}")


def flat(scored: TaskScores) -> dict[str, float | int | str | None]:
    """Names and values as in the stage's metrics, rounded to four digits, with the counts beside them."""
    counts = {
        name: None if math.isnan(value) else int(value) if float(value).is_integer() else round(value, 4)
        for name, value in scored.counts.items()
    }
    values = {name: round(value, 4) for name, value in scored.points().items()}
    return {
        "task": scored.task or None,
        "items": counts.pop("items"),
        "with_reference": counts.pop("with_reference"),
        **values,
        **counts,
    }


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, row) with the fields that are read checked, and lone surrogates replaced (they are not text)."""
    for number, value in read_json_lines(path):
        where = f"{path}, line {number}"
        if not isinstance(value, dict):
            raise InputError(f"{where}: not a JSON object; expected prompt, reference and prediction")
        for key in ("prompt", "prediction"):
            if not isinstance(value.get(key), str):
                raise InputError(f"{where}: {key}: {_odd(value, key)}; expected a string")
        if "reference" not in value:
            raise InputError(f"{where}: reference: missing; expected a string, or null where there is none")
        if value["reference"] is not None and not isinstance(value["reference"], str):
            raise InputError(f"{where}: reference: {_odd(value, 'reference')}; expected a string or null")
        tests = value.get("tests")
        if tests is not None and not (isinstance(tests, list) and all(isinstance(test, str) for test in tests)):
            raise InputError(f"{where}: tests: expected a list of strings")
        _check_likelihood(where, value)
        yield (
            number,
            {k: v.encode("utf-8", "replace").decode() if isinstance(v, str) else v for k, v in value.items()},
        )


def _check_likelihood(where: str, row: dict[str, Any]) -> None:
    """Refuses a likelihood or a length that is not a number of its kind: leaving it out would move the mean unnoticed."""
    nll, size, ending = row.get("nll"), row.get("bytes"), row.get("finish_reason")
    if nll is not None and (isinstance(nll, bool) or not isinstance(nll, int | float) or not 0 <= nll < math.inf):
        raise InputError(f"{where}: nll: is {json.dumps(nll)}; expected nats (a number of 0 or more) or null")
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 0):
        raise InputError(f"{where}: bytes: is {json.dumps(size)}; expected the reference's length in UTF-8, or null")
    if ending is not None and not isinstance(ending, str):
        raise InputError(f"{where}: finish_reason: is {type(ending).__name__}; expected text, such as stop or length")


def _odd(row: dict[str, Any], key: str) -> str:
    return "missing" if key not in row else f"is {type(row[key]).__name__ if row[key] is not None else 'null'}"


def _prediction(number: int, row: dict[str, Any], task: str) -> Prediction:
    reference = row["reference"]
    nll, size = row.get("nll"), row.get("bytes")
    return Prediction(
        id=f"line {number}",
        task=task,
        group=str(row.get("group") or row.get("id") or number),
        prompt=row["prompt"],
        reference=reference,
        prediction=row["prediction"],
        finish_reason="length" if read_ending(row.get("finish_reason")) == "cut" else "stop",
        nll=None if nll is None else float(nll),
        bytes=size,
    )
