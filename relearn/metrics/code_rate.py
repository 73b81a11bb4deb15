"""The share of predictions that hold code, as a reader would call it."""

from __future__ import annotations

from collections.abc import Sequence

from relearn.metrics.code.find import holds_code
from relearn.metrics.metric import Metric
from relearn.statistics.scores import Scores, mean


def code_rate(predictions: Sequence[str], prompts: Sequence[str]) -> Scores:
    """1 for a prediction that holds code, not counting an echo of its prompt."""
    return mean("code_rate", list(map(holds_code, predictions, prompts)), proportion=True)


METRIC = Metric(
    name="code_rate", label="contains code", score=code_rate, reads=("predictions", "prompts"), needs=(), apart=True
)
