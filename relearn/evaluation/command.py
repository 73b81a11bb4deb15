"""Scores a file of predictions with the metrics of eval_3a.

    python -m relearn.scoring PREDICTIONS.jsonl [--task code|reviews|general] [--json OUT]

Rows are JSON objects with `prompt`, `reference` (null where there is none) and `prediction`; `tests` (a list of
asserts), `nll` (nats) with `bytes`, `id`, `group` and `task` are used where present, other keys ignored. Prints one
flat JSON object, the names and values those of the stage; progress and warnings go to stderr.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from relearn.commands import SETTINGS, run_command
from relearn.errors import InputError
from relearn.evaluation.tasks import TaskScores, choose_metrics, score_task
from relearn.files import read_json_lines, write_json
from relearn.metrics.code.find import holds_code
from relearn.metrics.metric import all_metrics
from relearn.params.evaluate import Scoring
from relearn.progress import say
from relearn.records import TASKS, Prediction


def _score(predictions: Path, task: str | None, json_out: Path | None, **options: Any) -> None:
    try:
        found = score_file(predictions, task, _params(**options))
        if json_out is not None:
            write_json(json_out, found)
    except InputError as error:
        print(f"relearn.scoring: {error}", file=sys.stderr)
        click.get_current_context().exit(1)
    print(json.dumps(found, ensure_ascii=False, indent=2))


FILE: Any = click.Path(path_type=Path)
command = click.Command(
    "score",
    callback=_score,
    help="Scores a file of predictions (JSON Lines: prompt, reference, prediction) as stage eval_3a does.",
    context_settings=SETTINGS,
    params=[
        click.Argument(["predictions"], type=FILE),
        click.Option(
            ["--task"],
            type=click.Choice(TASKS),
            help="Which metrics (default: the rows' own task, else code or general by what the references hold).",
        ),
        click.Option(["--json", "json_out"], type=FILE, metavar="OUT", help="Also write the result to this file."),
        click.Option(["--encoder"], default="minilm", help="BERTScore's encoder: minilm, a folder or a hub name."),
        click.Option(["--encoder-layers"], type=int, help="Layer that BERTScore reads (default: the last)."),
        click.Option(["--no-stemmer"], is_flag=True, help="ROUGE-L without Porter's stemmer."),
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
    """The command: 0, or 1 with one line on stderr. SystemExit (2) for options that are wrong."""
    return run_command(command, arguments, "python -m relearn.scoring")


def _params(
    encoder: str, encoder_layers: int | None, no_stemmer: bool, execute: Any, timeout: float, memory: int
) -> Scoring:
    if not 0 < timeout <= 600:
        raise InputError(f"--timeout {timeout:g}: more than 0 and at most 600 seconds are expected")
    if memory < 32:
        raise InputError(f"--memory {memory}: at least 32 MiB are expected")
    if encoder_layers is not None and encoder_layers < 1:
        raise InputError(f"--encoder-layers {encoder_layers}: at least 1 is expected")
    return Scoring(
        encoder=encoder,
        encoder_layers=encoder_layers,
        rouge_stemmer=not no_stemmer,
        execute=execute,
        timeout_s=timeout,
        memory_mb=memory,
        resamples=1000,
        swaps=1000,
    )


def score_file(path: Path, task: str | None, params: Scoring) -> dict[str, float | int | str | None]:
    """The flat result for a file: values by name, then counts. Raises InputError naming the file and line."""
    rows = list(_rows(path))
    if not rows:
        raise InputError(f"{path}: no rows; one JSON object a line with prompt, reference and prediction is expected")
    own = {row["task"] for _, row in rows if row.get("task") in TASKS}
    if task is None and len(own) > 1:
        raise InputError(f"{path}: rows of {len(own)} tasks ({', '.join(sorted(own))}); choose one with --task")
    chosen: str = task or (own.pop() if own else _guess([row for _, row in rows]))
    if task is not None and len(own) > 1:
        rows = [(number, row) for number, row in rows if row.get("task") == task]
        if not rows:
            raise InputError(f"{path}: no row of task {task}")
    predictions = [_prediction(number, row, chosen) for number, row in rows]
    tests = {p.id: row["tests"] for p, (_, row) in zip(predictions, rows, strict=True) if row.get("tests")}
    metrics = choose_metrics(chosen, [row.reference for row in predictions], params.execute)
    for name in list(metrics):
        lacking = all_metrics()[name].lacks()
        if lacking:
            say(
                f"relearn.scoring: {name} is left out: {' and '.join(lacking)} not installed; "
                "install the extra `models`"
            )
            del metrics[name]
    return flat(score_task(chosen, predictions, tests, params, metrics))


def _guess(rows: Sequence[dict[str, Any]]) -> str:
    """code where at least half of the references hold code, or where there is no reference; else general."""
    references = [row["reference"] for row in rows if row["reference"]]
    return "code" if 2 * sum(map(holds_code, references)) >= len(references) else "general"


def flat(scored: TaskScores) -> dict[str, float | int | str | None]:
    """Names and values as in the stage's metrics, rounded to four digits, with the counts beside them."""
    counts = {
        name: None if math.isnan(value) else int(value) if float(value).is_integer() else round(value, 4)
        for name, value in scored.counts.items()
    }
    values = {name: round(value, 4) for name, value in scored.points().items()}
    return {
        "task": scored.task,
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
            raise InputError(f"{where}: not a JSON object; prompt, reference and prediction are expected")
        for key in ("prompt", "prediction"):
            if not isinstance(value.get(key), str):
                raise InputError(f"{where}: {key}: {_odd(value, key)}; a string is expected")
        if "reference" not in value:
            raise InputError(f"{where}: reference: missing; a string is expected, or null where there is none")
        if value["reference"] is not None and not isinstance(value["reference"], str):
            raise InputError(f"{where}: reference: {_odd(value, 'reference')}; a string or null is expected")
        tests = value.get("tests")
        if tests is not None and not (isinstance(tests, list) and all(isinstance(test, str) for test in tests)):
            raise InputError(f"{where}: tests: a list of strings is expected")
        yield (
            number,
            {k: v.encode("utf-8", "replace").decode() if isinstance(v, str) else v for k, v in value.items()},
        )


def _odd(row: dict[str, Any], key: str) -> str:
    return "missing" if key not in row else f"is {type(row[key]).__name__ if row[key] is not None else 'null'}"


def _prediction(number: int, row: dict[str, Any], task: str) -> Prediction:
    reference = row["reference"]
    nll, size = row.get("nll"), row.get("bytes")
    measured = isinstance(nll, int | float) and isinstance(size, int)
    return Prediction(
        id=f"line {number}",
        task=task,
        group=str(row.get("group") or row.get("id") or number),
        prompt=row["prompt"],
        reference=reference,
        prediction=row["prediction"],
        finish_reason="stop",
        nll=float(nll) if measured and nll is not None else None,
        bytes=size if measured else None,
    )
