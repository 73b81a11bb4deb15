"""The spread of the scores over training seeds, beside the spread over prompts.

An interval over prompts says what other prompts would have given these checkpoints; it says nothing of what another
order of the rows and other initial weights would have given. `predictions` of further seeds are scored like the
main one's, and each value gets its mean, standard deviation, range and number over all seeds.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Values = Mapping[str, float]
# model → task → name → value, of one seed
Points = Mapping[str, Mapping[str, Values]]

SPREAD = ("n", "mean", "sd", "min", "max")  # of a value over seeds
ENOUGH = 3  # seeds, from which on a claim is about more than checkpoints


def spread(points: Sequence[Points]) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    """task → model → name → mean, sd, min, max and n over the seeds that have the value, given each seed's points.

    `sd` is the sample's (n - 1), None under two values. A share recovered is missing where a seed lost nothing
    significant.
    """
    found: dict[str, dict[str, dict[str, dict[str, Any]]]] = {}
    for model in points[0]:
        for task in points[0][model]:
            names = dict.fromkeys(name for of in points for name in of[model][task])
            for name in names:
                values = [of[model][task][name] for of in points if name in of[model][task]]
                found.setdefault(task, {}).setdefault(model, {})[name] = {
                    "mean": statistics.fmean(values),
                    "sd": statistics.stdev(values) if len(values) > 1 else None,
                    "min": min(values),
                    "max": max(values),
                    "n": len(values),
                }
    return found


def claim(number: int) -> str:
    """What the numbers are about, with so many training seeds."""
    if number >= ENOUGH:
        return (
            f"the rounds at these settings, on this base and data, as far as {number} training seeds show; the "
            "intervals over prompts and the tests are those of the first seed"
        )
    seeds = "one training seed" if number == 1 else f"{number} training seeds"
    return f"these checkpoints, not the method: {seeds}"
