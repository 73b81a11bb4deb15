"""lighteval: details as Parquet, `details_TASK|SHOTS_TIME.parquet`, beside a results file some folders up.

Rows are in no order, so they are paired by `doc.id`. Needs pyarrow, which nothing else here does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from relearn.errors import InputError
from relearn.logs import bounds
from relearn.logs.records import Run, Sample, Stated, digest, kind, look_up, mapping, number

TIME = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?"
DETAILS = re.compile(rf"details_(?P<task>.+)_(?P<time>{TIME})\.parquet")
BATCH, HELD = 256, 512 * bounds.MEBI  # rows in memory at once, and bytes


def group_runs(paths: Sequence[Path]) -> list[list[Path]]:
    """The details of each run: those with one time in one folder."""
    found: dict[tuple[Path, str], list[Path]] = {}
    for path in paths:
        if match := DETAILS.fullmatch(path.name):
            found.setdefault((path.parent, match["time"]), []).append(path)
    return list(found.values())


def read(paths: Sequence[Path], cluster: str | None) -> Run:
    """The run of details that lie in one folder."""
    tasks = {path: match["task"] for path in paths if (match := DETAILS.fullmatch(path.name))}
    match = DETAILS.fullmatch(paths[0].name)
    time = match["time"] if match else ""
    run = Run(
        "lighteval", f"{paths[0].parent.parent.name}, {time}", paths[0].parent, iter(()), paths[0].parent.parent.name
    )
    results = _results(paths[0], time)
    if results is None:
        run.notes.append(f"{paths[0].parent}: no results file was found above the details")
    else:
        _describe(run, results)
    run.samples = _samples(run, tasks, cluster)
    return run


def _results(path: Path, time: str) -> dict[str, Any] | None:
    """OUT/results/models/NAME/results_TIME.json for OUT/details/models/NAME/TIME/details_….parquet, or one beside."""
    above = next((folder.parent / "results" for folder in path.parents if folder.name == "details"), path.parent)
    beside = path.parent / f"results_{time}.json"
    found = [beside, *(above / name for name in (_under(path) or ()))]
    return next((bounds.read_document(one) for one in found if one.is_file()), None)


def _under(path: Path) -> list[str]:
    """models/NAME/results_TIME.json"""
    parts = path.parts
    if "details" not in parts:
        return []
    first = len(parts) - parts[::-1].index("details")
    return [str(Path(*parts[first:-2], f"results_{parts[-2]}.json"))]


def _describe(run: Run, results: Mapping[str, Any]) -> None:
    for task, config in mapping(results.get("config_tasks")).items():
        for metric in map(mapping, mapping(config).get("metrics") or []):
            if isinstance(metric.get("higher_is_better"), bool):
                run.better[task, str(metric.get("metric_name"))] = "higher" if metric["higher_is_better"] else "lower"
        run.settings[task] = {
            "few-shot examples": mapping(config).get("num_fewshots"),
            "task version": mapping(config).get("version"),
            "longest answer": mapping(config).get("generation_size"),
        }
    for task, stated in mapping(results.get("results")).items():
        for name, value in mapping(stated).items():
            if not name.endswith("_stderr") and isinstance(value, int | float):
                error = stated.get(f"{name}_stderr")
                run.stated[task, name] = Stated(value, error if isinstance(error, int | float) else None)


def _samples(run: Run, tasks: Mapping[Path, str], cluster: str | None) -> Iterator[Sample]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise InputError(
            f"{run.source}: lighteval's details are Parquet, which needs pyarrow: pip install pyarrow"
        ) from None
    for path, task in tasks.items():
        try:
            with parquet.ParquetFile(
                path, thrift_string_size_limit=bounds.LINE, thrift_container_size_limit=1_000_000
            ) as file:
                names = set(file.schema_arrow.names)
                if not {"doc", "metric"} <= names:
                    raise InputError(f"{path}: no columns doc and metric; expected details of lighteval's")
                groups = [
                    file.metadata.row_group(index).total_byte_size for index in range(file.metadata.num_row_groups)
                ]
                if sum(groups) > max(bounds.LINE, bounds.RATIO * path.stat().st_size):
                    raise InputError(f"{path}: {sum(groups) / bounds.MEBI:.0f} MiB unpacked; this is not a log")
                # A text that all rows share is in the file once, and in memory once a row.
                rows = max(1, min(BATCH, HELD // max(1, *groups)))
                wanted = [name for name in ("doc", "metric", "model_response") if name in names]
                for batch in file.iter_batches(rows, columns=wanted):
                    if batch.nbytes > HELD:
                        raise InputError(
                            f"{path}: rows of {batch.nbytes / rows / bounds.MEBI:.0f} MiB; this is not a log"
                        )
                    for row in batch.to_pylist():
                        yield _sample(run, task, row, path, cluster)
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            said = str(error).split("\n")[0]
            raise InputError(
                f"{path}: not whole Parquet ({said}); the file is cut off or damaged, copy it again"
            ) from None


def _sample(run: Run, task: str, row: Mapping[str, Any], path: Path, cluster: str | None) -> Sample:
    doc = mapping(row.get("doc"))
    if doc.get("id") is None:
        raise InputError(f"{path}: a row has no doc.id, by which rows are paired")
    scores = {}
    for metric, value in mapping(row.get("metric")).items():
        found = None if isinstance(value, str) else number(value)
        if found is None:
            run.skipped.setdefault((task, metric), f"a sample has {kind(value)} instead of a number")
        else:
            scores[metric] = found
    tokens = mapping(row.get("model_response")).get("input_tokens")
    key = cluster.removeprefix("doc.").removeprefix("specific.") if cluster else None
    return Sample(
        task,
        str(doc["id"]),
        scores,
        document=digest(
            [doc.get(name) for name in ("query", "choices", "gold_index", "instruction", "original_query")]
        ),
        prompt=digest(tokens) if tokens else 0,
        cluster=None if key is None else look_up(doc.get("specific"), key) or look_up(doc, key),
        where=f"{path}, doc.id {doc['id']}",
    )
