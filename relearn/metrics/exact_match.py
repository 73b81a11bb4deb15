"""The share of predictions equal to the reference, but for spaces at line ends and outer blank lines."""

from __future__ import annotations

from collections.abc import Sequence

from relearn.metrics.metric import Metric
from relearn.statistics.scores import Scores, mean


def normal(text: str) -> str:
    """The text as exact match compares it: line ends unified, spaces at line ends and outer blank lines gone."""
    return "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").split("\n")).strip("\n")


def exact_match(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """The share of predictions that are the reference, but for spaces at line ends and outer blank lines."""
    hits = [bool(normal(p).strip()) and normal(p) == normal(r) for p, r in zip(predictions, references, strict=True)]
    return mean("exact_match", hits, proportion=True)


METRIC = Metric(name="exact_match", label="exact match", score=exact_match, apart=True)
