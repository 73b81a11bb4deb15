"""How far each model has moved from the base: the mean divergence a token, with its interval over clusters.

The mean is over all tokens of all answers, a ratio of two sums; a resample draws clusters of prompts, the same for all
models. KL(base‖model) along the base's own answers to prompts of the new task is the measure that forgetting follows in
Shenfeld et al. (2025, arXiv 2509.04259).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from relearn.records import Drift
from relearn.statistics import resampling
from relearn.statistics.scores import Floats


def summarise_drift(rows: Iterable[Drift], resamples: int, seed: int) -> dict[str, Any]:
    """By task and model, of the main seed's rounds: value, low and high in nats a token, prompts, tokens, clusters; and by
    further seed, task and model the value alone."""
    rows = list(rows)
    found: dict[str, Any] = {"tasks": {}, "seeds": {}}
    for task in dict.fromkeys(row.task for row in rows):
        for seed_of, model in dict.fromkeys((row.seed, row.model) for row in rows if row.task == task):
            own = [row for row in rows if (row.task, row.seed, row.model) == (task, seed_of, model)]
            sums = np.array([[row.divergence, row.tokens] for row in own], dtype=float)
            if seed_of is not None:
                found["seeds"].setdefault(str(seed_of), {}).setdefault(task, {})[model] = float(_mean(sums.sum(0)))
                continue
            clusters, number = resampling.number_clusters([row.group for row in own])
            drawn = resampling.draw(number, resamples, seed)
            values = resampling.resampled(resampling.cluster_sums(sums, clusters, number), _mean, drawn)
            interval = resampling.percentiles(values, number)
            found["tasks"].setdefault(task, {})[model] = {
                "value": float(_mean(sums.sum(0))), "low": interval.low, "high": interval.high,
                "prompts": len(own), "tokens": int(sums[:, 1].sum()), "clusters": number,
            }  # fmt: skip
    return found


def _mean(sums: Floats) -> Floats:
    """(..., 2) of divergence and tokens: divergence a token."""
    return np.asarray(sums[..., 0] / sums[..., 1])
