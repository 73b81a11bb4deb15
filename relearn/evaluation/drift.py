"""How far each model has moved from the base: the mean divergence a token, with its interval over clusters.

The mean is over all tokens of all answers, a ratio of two sums; a resample draws clusters of prompts, the same for all
models. KL(base‖model) along the base's own answers to prompts of the new task is the measure that forgetting follows in
Shenfeld et al. (2025, arXiv 2509.04259).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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


FEWEST = 5  # runs, for a correlation to be worth an interval


def correlate(drifts: Sequence[float], lost: Sequence[float]) -> dict[str, float] | None:
    """Spearman's rank correlation of the distance from base with what was forgotten, over runs, and its 95% interval.

    The interval is Fisher's, with the variance that Bonett & Wright (2000) give for ranks. Where all ranks agree, it would
    have no width; it is then taken about the next value that so many ranks can have, and extended to 1. None for fewer
    than `FEWEST` runs, or where all are the same.
    """
    if len(drifts) < FEWEST or len({*drifts}) == 1 or len({*lost}) == 1:
        return None
    from scipy.stats import spearmanr

    runs, value = len(drifts), float(spearmanr(drifts, lost).statistic)
    most = 1 - 12 / (runs * (runs**2 - 1))  # of two neighbouring ranks that disagree
    about = min(max(value, -most), most)
    reach = resampling.normal_quantile(0.975) * math.sqrt((1 + about**2 / 2) / (runs - 3))
    low, high = (math.tanh(math.atanh(about) + side * reach) for side in (-1, 1))
    low, high = min(low, value), max(high, value)
    return {"value": value, "low": low, "high": high, "runs": runs}


def _mean(sums: Floats) -> Floats:
    """(..., 2) of divergence and tokens: divergence a token."""
    return np.asarray(sums[..., 0] / sums[..., 1])
