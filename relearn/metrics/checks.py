"""The share of answers that pass the checks of their item, in a suite of skills."""

from __future__ import annotations

from collections.abc import Sequence

from relearn.metrics.metric import Metric
from relearn.statistics.scores import Scores, mean


def checks(passed: Sequence[bool]) -> Scores:
    """The share of answers that pass every check of their item; items whose checks could not be run do not count."""
    return mean("checks", passed, proportion=True)


METRIC = Metric(name="checks", label="checks passed", score=checks, reads=("passed",), needs=("passed",))
