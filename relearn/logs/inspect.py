"""Inspect: `.eval` (a zip archive, a member a sample) and the same log as one `.json`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from relearn.errors import InputError
from relearn.logs import bounds
from relearn.logs.records import Run, Sample, Stated, digest, listing, look_up, mapping, number, text

MEMBER = re.compile(r"samples/.+\.json")
HEADER, START = "header.json", "_journal/start.json"


def is_log(document: Mapping[str, Any]) -> bool:
    return isinstance(document.get("eval"), dict) and "samples" in document


def read_archive(path: Path, cluster: str | None) -> Run:
    """A `.eval`; one without a header is from a run that is still going, or was killed."""
    with bounds.Archive(path) as archive:
        names = {member.filename: member for member in archive.members}
        member = names.get(HEADER) or names.get(START)
        if member is None:
            raise InputError(f"{path}: no {HEADER} in the archive; this is not an Inspect log")
        header = archive.read_object(member)
    run = _run(path, header, HEADER in names)
    run.samples = _samples(run, _unpack(path), header, cluster)
    return run


def _unpack(path: Path) -> Iterator[Any]:
    with bounds.Archive(path) as archive:
        for member in archive.members:
            if MEMBER.fullmatch(member.filename):
                yield archive.read_object(member)


def read_document(path: Path, document: dict[str, Any], cluster: str | None) -> Run:
    """A log in one `.json`, already parsed."""
    run = _run(path, document, True)
    run.samples = _samples(run, listing(document.get("samples")), document, cluster)
    return run


def _run(path: Path, header: Mapping[str, Any], whole: bool) -> Run:
    made = mapping(header.get("eval"))
    task, results = str(made.get("task", path.stem)), mapping(header.get("results"))
    run = Run("Inspect", str(made.get("eval_id", path.stem)), path, iter(()), str(made.get("model", "")))
    generation = mapping(mapping(header.get("plan")).get("config"))
    run.settings[task] = {
        "task version": made.get("task_version"),
        "task arguments": made.get("task_args"),
        "epochs": mapping(made.get("config")).get("epochs"),
        "solver": [mapping(step).get("solver") for step in listing(mapping(header.get("plan")).get("steps"))],
        **{key: value for key, value in generation.items() if key != "max_connections"},
    }
    status = header.get("status")
    if not whole:
        run.unfinished = f"{path}: the run had not finished when this log was written (no {HEADER})"
    elif status != "success":
        error = mapping(header.get("error")).get("message")
        counts = (
            f"; {results['completed_samples']} of {results.get('total_samples')} samples completed"
            if "completed_samples" in results
            else ""
        )
        run.unfinished = f"{path}: the run's status is {text(status)}{counts}" + (
            f"; its error: {error}" if error else ""
        )
    elif header.get("invalidated"):
        run.unfinished = f"{path}: somebody marked this run as invalid"
    for score in map(mapping, listing(results.get("scores"))):
        name, scorer = str(score.get("name")), str(score.get("scorer"))
        metrics = mapping(score.get("metrics"))
        mean = next((mapping(metrics[key]).get("value") for key in ("accuracy", "mean") if key in metrics), None)
        error = mapping(metrics.get("stderr")).get("value")
        if whole and status == "success" and isinstance(mean, int | float):
            key = name if name == scorer else f"{scorer}.{name}"
            run.stated[task, key] = Stated(mean, error if isinstance(error, int | float) else None)
    return run


def _samples(run: Run, found: Iterable[Any], header: Mapping[str, Any], cluster: str | None) -> Iterator[Sample]:
    task, count, failed = next(iter(run.settings)), 0, list[str]()
    for count, row in enumerate(map(mapping, found), 1):  # noqa: B007
        where = f"{run.source}, sample {row.get('id')}, epoch {row.get('epoch')}"
        scores: dict[str, float] = {}
        for scorer, score in mapping(row.get("scores")).items():
            value = mapping(score).get("value")
            parts = (
                {f"{scorer}.{key}": part for key, part in value.items()}
                if isinstance(value, dict)
                else {str(scorer): value}
            )
            for name, part in parts.items():
                read = number(part)
                if read is None:
                    run.skipped.setdefault((task, name), f"a sample has {text(part)[:40]} instead of a number")
                else:
                    scores[name] = read
        if row.get("error"):  # it has no scores: that it failed says nothing about the answer
            failed.append(
                f"{row.get('id')}, epoch {row.get('epoch')}: {text(mapping(row['error']).get('message'))[:100]}"
            )
        if "id" not in row:
            raise InputError(f"{where}: no id; expected a sample of Inspect's")
        yield Sample(
            task,
            text(row["id"]),
            {} if row.get("error") else scores,
            epoch=text(row.get("epoch", "")),
            document=digest([_plain(row.get("input")), row.get("target"), row.get("choices")]),
            prompt=digest(_asked(row)),
            cluster=None if cluster is None else look_up(row.get("metadata"), cluster.removeprefix("metadata.")),
            where=where,
        )
    if failed:
        run.notes.append(
            f"{run.source}: {len(failed)} samples failed and are left out, since a failure is not a wrong answer ({'; '.join(failed[:2])}{' …' if failed[2:] else ''})"
        )
    total = mapping(header.get("results")).get("total_samples")
    if isinstance(total, int) and count != total:
        run.notes.append(f"{run.source}: {count} samples, each epoch counted; its results count {total}")


def _plain(asked: Any) -> Any:
    """Messages without the ids that every run makes anew."""
    if not isinstance(asked, list):
        return asked
    return [[mapping(message).get("role"), mapping(message).get("content")] for message in asked]


def _asked(row: Mapping[str, Any]) -> Any:
    """The messages up to the model's first."""
    messages = [mapping(message) for message in listing(row.get("messages"))]
    first = next((index for index, message in enumerate(messages) if message.get("role") == "assistant"), len(messages))
    return _plain(messages[:first]) or _plain(row.get("input"))
