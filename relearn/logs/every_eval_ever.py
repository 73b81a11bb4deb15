"""Every Eval Ever: JSON Lines of instances (`evaluation.score`), beside the aggregate file that says what is better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from relearn.errors import InputError
from relearn.logs import bounds
from relearn.logs.records import Run, Sample, Stated, digest, listing, look_up, mapping, number, text

SUFFIX = "_samples"


def is_instance(row: Mapping[str, Any]) -> bool:
    return "evaluation_id" in row and "sample_id" in row and isinstance(row.get("evaluation"), dict)


def is_aggregate(document: Mapping[str, Any]) -> bool:
    return "evaluation_id" in document and isinstance(document.get("evaluation_results"), list)


def read(path: Path, cluster: str | None) -> list[Run]:
    """A run for each evaluation and model that the file holds, each read in a pass of its own."""
    seen: dict[tuple[str, str], None] = {}
    for _, row in bounds.read_rows(path, []):
        seen.setdefault((str(row.get("evaluation_id")), str(row.get("model_id"))))
    beside = path.with_name(path.stem.removesuffix(SUFFIX) + ".json")
    aggregate = bounds.read_document(beside) if beside.is_file() else {}
    runs = []
    for name, model in seen:
        run = Run(
            "Every Eval Ever",
            f"{name}, {model}" if len({key for key, _ in seen}) < len(seen) else name,
            path,
            iter(()),
            model,
        )
        _describe(run, aggregate if aggregate.get("evaluation_id") == name else {})
        run.samples = _samples(run, path, name, model, cluster)
        runs.append(run)
    return runs


def _describe(run: Run, aggregate: Mapping[str, Any]) -> None:
    names: dict[str, int] = {}
    for result in map(mapping, listing(aggregate.get("evaluation_results"))):
        names[str(result.get("evaluation_name"))] = names.get(str(result.get("evaluation_name")), 0) + 1
    for result in map(mapping, listing(aggregate.get("evaluation_results"))):
        task, config = str(result.get("evaluation_name")), mapping(result.get("metric_config"))
        metric = str(result.get("evaluation_result_id") or "score")
        details = mapping(result.get("score_details"))
        error = mapping(mapping(details.get("uncertainty")).get("standard_error")).get("value")
        for name in {metric, "score"} if names[task] == 1 else {metric}:
            if isinstance(config.get("lower_is_better"), bool):
                run.better[task, name] = "lower" if config["lower_is_better"] else "higher"
            if isinstance(details.get("score"), int | float):
                run.stated[task, name] = Stated(details["score"], error if isinstance(error, int | float) else None)
        asked = mapping(mapping(result.get("generation_config")).get("generation_args"))
        run.settings.setdefault(task, {})["generation"] = {
            key: value
            for key, value in asked.items()
            if key != "execution_command"  # it names the model
        }
    if not aggregate:
        run.notes.append(f"{run.source}: no aggregate file beside it")


def _samples(run: Run, path: Path, name: str, model: str, cluster: str | None) -> Iterator[Sample]:
    failed, cut = list[str](), list[str]()
    for where, row in bounds.read_rows(path, cut):
        if (str(row.get("evaluation_id")), str(row.get("model_id"))) != (name, model):
            continue
        if not is_instance(row):
            raise InputError(f"{where}: expected an instance of Every Eval Ever (evaluation_id, sample_id, evaluation)")
        task, metric, asked = (
            str(row.get("evaluation_name")),
            str(row.get("evaluation_result_id") or "score"),
            mapping(row.get("input")),
        )
        score = number(row["evaluation"].get("score"))
        if row.get("error"):
            failed.append(f"{text(row['sample_id'])}: {text(row['error'])[:100]}")
        elif score is None:
            run.skipped.setdefault((task, metric), "a sample has no number as its score")
        metadata = mapping(row.get("metadata"))
        yield Sample(
            task,
            text(row["sample_id"]),
            {} if score is None or row.get("error") else {metric: score},
            epoch=text(metadata.get("epoch", "")),
            document=digest(row.get("sample_hash") or [asked.get("raw"), asked.get("reference"), asked.get("choices")]),
            prompt=digest(asked["formatted"]) if asked.get("formatted") else 0,
            cluster=None if cluster is None else look_up(metadata, cluster.removeprefix("metadata.")),
            where=where,
        )
    if failed:
        run.notes.append(
            f"{path}: {len(failed)} samples failed and are left out, since a failure is not a wrong answer ({'; '.join(failed[:2])}{' …' if failed[2:] else ''})"
        )
    run.unfinished = cut[0] if cut else ""
