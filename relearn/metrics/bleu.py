"""Corpus BLEU-4 as sacrebleu computes it and with its tokenizers, from 0 to 1 (Papineni et al. 2002; signature of Post 2018).

Each item is tokenized as the script of its reference asks for, so that Chinese rows among English ones are seen too.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np

from relearn.metrics.metric import Measured, Metric
from relearn.metrics.ngrams import count_all, count_shared
from relearn.scripts import Tokenizer, choose_tokenizer
from relearn.statistics.scores import Floats, Scores

ORDER = 4


def bleu_score(sums: Floats) -> Floats:
    """Corpus BLEU from summed statistics `[length, reference length, matches 1..4, n-grams 1..4]`, (..., 10) -> (...).

    The same values as sacrebleu with its defaults: exponential smoothing (NIST's), orders beyond the longest
    n-gram present ending the product at 0.
    """
    sums = np.asarray(sums, dtype=float)
    length, wanted = sums[..., 0], sums[..., 1]
    correct, total = sums[..., 2 : 2 + ORDER], sums[..., 2 + ORDER :]
    with np.errstate(divide="ignore", invalid="ignore"):
        penalty = np.where(length < wanted, np.exp(1 - wanted / np.where(length > 0, length, np.nan)), 1.0)
        missed = np.cumsum(correct == 0, axis=-1)
        precision = np.where(correct > 0, correct / total, 1 / (2.0**missed * total))
        # An order with no n-grams at all leaves its precision at 0, as sacrebleu's early break does.
        score = np.where((total > 0).all(axis=-1), np.exp(np.log(precision).mean(axis=-1)), 0.0)
    score = np.where((correct > 0).any(axis=-1), penalty * score, 0.0)
    return np.where(wanted > 0, score, np.nan)


def bleu(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Corpus BLEU-4, case kept. Raises nothing: an empty prediction matches nothing."""
    return measure_bleu(predictions, references).scores[0]


def measure_bleu(predictions: Sequence[str], references: Sequence[str]) -> Measured:
    """`bleu`, and how many references each tokenizer fits."""
    chosen = list(map(choose_tokenizer, references))
    stats = np.zeros((len(references), 2 + 2 * ORDER))
    used = Counter[str](chosen)
    for tokenizer in used:
        split = _sacrebleu(tokenizer).tokenizer
        rows = [index for index, own in enumerate(chosen) if own == tokenizer]
        some, wanted = ([split(texts[index].rstrip()).split() for index in rows] for texts in (predictions, references))
        total = count_all(some, ORDER)
        stats[rows] = np.hstack([total[:, :1], count_all(wanted, 1), count_shared(some, wanted, ORDER), total])
    return Measured([Scores("bleu", as_counts(stats), bleu_score)], tallies=used)


def _conclude(measured: Measured) -> Measured:
    """The tokenizers that were taken, in the signature, and a note where no answer is long enough for BLEU."""
    stats = measured.scores[0].stats
    notes = []
    if stats[:, 2].sum() > 0 and stats[:, -1].sum() == 0:
        notes.append(f"BLEU cannot see these answers and is 0: none has {ORDER} words")
    used = [tokenizer for tokenizer in get_args(Tokenizer) if tokenizer in measured.tallies]
    signatures = [sacrebleu_signature(_sacrebleu(tokenizer))["signature"] for tokenizer in used]
    signature = {"signature": " and ".join(signatures)} if signatures else {}
    return replace(measured, notes=notes, signature=signature)


@functools.cache  # with what its tokenizer remembers: a reference serves every model
def _sacrebleu(tokenizer: str = "13a") -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(force=True, tokenize=tokenizer)


def as_counts(stats: Floats) -> Any:
    """The same whole numbers in as few bytes as the largest needs: of a million items they are most of what is held."""
    return stats.astype(np.min_scalar_type(int(stats.max(initial=0))))


def sacrebleu_signature(metric: Any) -> dict[str, Any]:
    """sacrebleu's own signature of a metric's options and version."""
    metric.corpus_score(["a"], [["a"]])  # the number of references is known only after scoring
    return {"signature": str(metric.get_signature()), "scale": "0 to 1"}


METRIC = Metric(
    name="bleu",
    label="BLEU",
    score=measure_bleu,
    conclude=_conclude,
    apart=True,
    library="sacrebleu",
    paper="Papineni et al. 2002; Post 2018",
    describe=lambda: sacrebleu_signature(_sacrebleu()),
)
