"""The metrics as `evaluate.Metric` objects, for those who use that library: they join with `evaluate.combine`.

Nothing is downloaded: the metrics are here, not on the hub.
"""

from __future__ import annotations

import functools
import tempfile
from typing import Any

from relearn.metrics.metric import all_metrics
from relearn.params.evaluate import Scoring


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    """evaluate makes a folder for each metric even when it keeps everything in memory; removed at exit."""
    return tempfile.TemporaryDirectory(prefix="relearn-evaluate-")


def as_evaluate(name: str, settings: Scoring) -> Any:
    """The metric of that name; `compute` takes the columns it reads, a value an item, and gives its points by name."""
    import datasets
    import evaluate

    metric = all_metrics()[name]
    features = {
        **dict.fromkeys(("predictions", "references", "prompts"), datasets.Value("string")),
        "tests": datasets.List(datasets.Value("string")),
        "nll": datasets.Value("float64"),
        "bytes": datasets.Value("int64"),
    }

    class Wrapped(evaluate.Metric):  # type: ignore[misc]
        def _info(self) -> Any:
            return evaluate.MetricInfo(
                description=metric.label,
                citation=metric.paper,
                inputs_description=f"Columns: {', '.join(metric.reads)}; one row an item.",
                features=datasets.Features({column: features[column] for column in metric.reads}),
            )

        def _compute(self, **columns: Any) -> dict[str, float]:
            return {scores.name: scores.point for scores in metric.measure(columns, settings).scores}

    return Wrapped(keep_in_memory=True, cache_dir=_scratch().name, seed=0)
