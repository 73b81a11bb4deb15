"""Corpus chrF2 as sacrebleu computes it, from 0 to 1 (Popović 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from relearn.metrics.bleu import as_counts, sacrebleu_signature
from relearn.metrics.metric import Metric
from relearn.metrics.ngrams import count_all, count_shared
from relearn.statistics.scores import Floats, Scores

ORDER, BETA = 6, 2


def chrf_score(sums: Floats) -> Floats:
    """chrF2 from summed statistics `[n-grams, reference n-grams, matches] x 6`, (..., 18) -> (...), as sacrebleu."""
    sums = np.asarray(sums, dtype=float)
    hyp, ref, match = sums[..., 0::3], sums[..., 1::3], sums[..., 2::3]
    used = (hyp > 0) & (ref > 0)
    orders = used.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(used, match / hyp, 0).sum(axis=-1) / orders
        recall = np.where(used, match / ref, 0).sum(axis=-1) / orders
        factor = BETA**2
        score = (1 + factor) * precision * recall / (factor * precision + recall)
    score = np.where(np.isnan(score), 0.0, score)
    return np.where((ref > 0).any(axis=-1), score, np.nan)


def chrf(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Corpus chrF2 (character order 6, word order 0, beta 2)."""
    some, wanted = (["".join(text.split()) for text in texts] for texts in (predictions, references))
    there = count_all(wanted, ORDER)
    total = count_all(some, ORDER) * (there > 0)  # as sacrebleu: an answer's n-grams count where its reference has such
    stats = np.stack([total, there, count_shared(some, wanted, ORDER)], axis=-1)
    return Scores("chrf", as_counts(stats.reshape(len(some), 3 * ORDER)), chrf_score)


def _sacrebleu() -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF(char_order=ORDER, beta=BETA)


METRIC = Metric(
    name="chrf",
    label="chrF",
    score=chrf,
    apart=True,
    library="sacrebleu",
    paper="Popović 2015",
    describe=lambda: sacrebleu_signature(_sacrebleu()),
)
