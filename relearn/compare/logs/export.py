"""The paired samples for other tools: Every Eval Ever's schema (0.3.0) and a flat Parquet."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from relearn.compare.logs.changes import MetricChange
from relearn.compare.logs.result import Result
from relearn.files import atomic_write, write_json
from relearn.logs.every_eval_ever import SUFFIX
from relearn.logs.pairs import Series

SCHEMA = "0.3.0"
OURS = re.compile(rf"[0-9a-f-]{{36}}(\.json|{SUFFIX}\.jsonl)")


def write_every_eval_ever(result: Result, folder: Path) -> None:
    """data/relearn/logs/ROLE/UUID.json and UUID_samples.jsonl (the schema fixes such paths) for base and tuned.

    Samples are the pairs' scores. Texts stay in the tool's own log. An earlier run's files of these names are removed.
    """
    first = result.comparisons[0]
    for role, before in ((first.before, True), (first.after, False)):
        tasks = [
            (change, series)
            for change, series in zip(first.changes, first.series, strict=True)
            if change.kind == "task"
        ]
        model = result.models[role]
        name = str(model["model"] or role)
        rows = hashlib.sha256()
        count = 0
        identity = f"relearn/{name.replace('/', '_')}/{role}"
        place = Path("data", "relearn", "logs", role, _uuid(identity))
        path = folder / f"{place}{SUFFIX}.jsonl"
        with atomic_write(path) as file:
            for _, series in tasks:
                for row in _instances(series, before, identity, name):
                    line = json.dumps(row) + "\n"
                    rows.update(line.encode())
                    file.write(line)
                    count += 1
        write_json(
            folder / f"{place}.json",
            {
                "schema_version": SCHEMA,
                "evaluation_id": identity,
                "retrieved_timestamp": "0",
                "source_metadata": {
                    "source_name": "relearn compare --logs",
                    "source_type": "evaluation_run",
                    "source_organization_name": "unknown",
                    "evaluator_relationship": "other",
                },
                "eval_library": {"name": model["tool"], "version": "unknown"},
                "model_info": {
                    "name": name,
                    "id": name,
                    "additional_details": {"deployment_type": "unknown", "model_availability": "unknown"},
                },
                "evaluation_results": [_aggregate(change, series, before) for change, series in tasks],
                "detailed_evaluation_results": {
                    "format": "jsonl",
                    "file_path": f"{place}{SUFFIX}.jsonl",
                    "hash_algorithm": "sha256",
                    "checksum": rows.hexdigest(),
                    "total_rows": count,
                },
            },
        )
        for left in (folder / place).parent.iterdir():
            if OURS.fullmatch(left.name) and not left.name.startswith(place.name):
                left.unlink()


def _uuid(text: str) -> str:
    """A version 4 UUID that the text determines: two runs of one comparison write the same files."""
    return str(UUID(bytes=hashlib.sha256(text.encode("utf-8", "replace")).digest()[:16], version=4))


def _aggregate(change: MetricChange, series: Series, before: bool) -> dict[str, Any]:
    error = change.error_before if before else change.error_after
    plain = not series.exponential and bool((series.weights == 1).all())
    uncertainty: dict[str, Any] = {"num_samples": change.samples}
    if plain and math.isfinite(error):
        uncertainty["standard_error"] = {"value": error, "method": "analytic"}
    return {
        "evaluation_result_id": change.metric,
        "evaluation_name": change.task,
        "source_data": {"dataset_name": change.task, "source_type": "other"},
        "metric_config": {"metric_name": change.metric, "lower_is_better": change.better == "lower"},
        "score_details": {"score": change.before if before else change.after, "uncertainty": uncertainty},
    }


def _instances(series: Series, before: bool, identity: str, model: str) -> Iterator[dict[str, Any]]:
    scores = series.before if before else series.after
    for sample, score, cluster in zip(series.ids, scores.tolist(), series.clusters.tolist(), strict=True):
        yield {
            "schema_version": SCHEMA,
            "evaluation_id": identity,
            "model_id": model,
            "evaluation_name": series.task,
            "evaluation_result_id": series.metric,
            "sample_id": sample,
            "sample_hash": None,
            "interaction_type": "single_turn",
            "input": {"raw": "", "reference": []},
            "output": {"raw": []},
            "answer_attribution": [],
            "evaluation": {"score": score, "is_correct": score == 1},
            "metadata": {"cluster": str(cluster)},
        }


def write_parquet(result: Result, path: Path) -> bool:
    """A row a pair and metric: from, to, task, metric, better, id, cluster, weight, before, after. False without pyarrow."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return False
    names = ("from", "to", "task", "metric", "better", "id")
    schema = pyarrow.schema(
        [
            *((name, pyarrow.string()) for name in names),
            ("cluster", pyarrow.int64()),
            *((name, pyarrow.float64()) for name in ("weight", "before", "after")),
        ]
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.tmp")
    try:
        with parquet.ParquetWriter(part, schema) as writer:
            for one in result.comparisons:
                for series in one.series:
                    if series.members:
                        continue
                    texts = [
                        [_storable(text)] * len(series.ids)
                        for text in (one.before, one.after, series.task, series.metric, series.better)
                    ]
                    columns = [
                        *texts,
                        [_storable(sample) for sample in series.ids],
                        series.clusters,
                        series.weights,
                        series.before,
                        series.after,
                    ]
                    writer.write_table(
                        pyarrow.table(
                            [pyarrow.array(column, field.type) for column, field in zip(columns, schema, strict=True)],
                            schema,
                        )
                    )
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return True


def _storable(text: str) -> str:
    """Without lone surrogates, which UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()


def few_figures(result: Result) -> dict[str, Any]:
    """What `dvc metrics` follows: before, after and difference of each task's named metric, groups and the total."""
    return {
        change.task: {change.metric: {"before": change.before, "after": change.after, "difference": change.difference}}
        for change in result.comparisons[0].changes
        if change.primary
    }
