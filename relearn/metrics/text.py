"""Text metrics over items: BLEU and chrF (sacrebleu), ROUGE-L (rouge-score), exact match; all from 0 to 1.

BLEU: Papineni et al. 2002, signature of Post 2018; chrF: Popović 2015; ROUGE-L: Lin 2004.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from relearn.statistics.scores import Floats, Scores, mean

ORDER = 4
CHRF_ORDER, CHRF_BETA = 6, 2
BLOCK = 1_000  # items whose n-grams are held at once


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


def chrf_score(sums: Floats) -> Floats:
    """chrF2 from summed statistics `[n-grams, reference n-grams, matches] x 6`, (..., 18) -> (...), as sacrebleu."""
    sums = np.asarray(sums, dtype=float)
    hyp, ref, match = sums[..., 0::3], sums[..., 1::3], sums[..., 2::3]
    used = (hyp > 0) & (ref > 0)
    orders = used.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(used, match / hyp, 0).sum(axis=-1) / orders
        recall = np.where(used, match / ref, 0).sum(axis=-1) / orders
        factor = CHRF_BETA**2
        score = (1 + factor) * precision * recall / (factor * precision + recall)
    score = np.where(np.isnan(score), 0.0, score)
    return np.where((ref > 0).any(axis=-1), score, np.nan)


def bleu(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Corpus BLEU-4, tokenizer 13a, case kept. Raises nothing: an empty prediction matches nothing."""
    from sacrebleu.metrics.bleu import BLEU

    return Scores("bleu", _statistics(BLEU(force=True), predictions, references, 2 + 2 * ORDER), bleu_score)


def chrf(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Corpus chrF2 (character order 6, word order 0, beta 2)."""
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF(char_order=CHRF_ORDER, beta=CHRF_BETA)
    return Scores("chrf", _statistics(metric, predictions, references, 3 * CHRF_ORDER), chrf_score)


def _statistics(metric: Any, predictions: Sequence[str], references: Sequence[str], width: int) -> Floats:
    """sacrebleu's statistics of every item, (items, width).

    A block at a time: it keeps the n-grams of all references it is given, tens of kilobytes an item.
    """
    found = np.zeros((len(predictions), width))
    for start in range(0, len(predictions), BLOCK):
        rows = slice(start, start + BLOCK)
        found[rows] = metric._extract_corpus_statistics(list(predictions[rows]), [list(references[rows])])
    return found


def bleu_signature() -> str:
    """sacrebleu's own signature of BLEU's options and version."""
    from sacrebleu.metrics.bleu import BLEU

    return _signature(BLEU(force=True))


def chrf_signature() -> str:
    """sacrebleu's own signature of chrF's options and version."""
    from sacrebleu.metrics.chrf import CHRF

    return _signature(CHRF(char_order=CHRF_ORDER, beta=CHRF_BETA))


def _signature(metric: Any) -> str:
    metric.corpus_score(["a"], [["a"]])  # the number of references is known only after scoring
    return str(metric.get_signature())


class _Stemmer:
    """Porter's stemmer with a memory: a corpus has few different words, and stemming is most of ROUGE's time."""

    def __init__(self) -> None:
        from nltk.stem.porter import PorterStemmer

        self.stem = functools.lru_cache(maxsize=100_000)(PorterStemmer().stem)


class _Tokenizer:
    """rouge-score's own tokenizer, each text once."""

    def __init__(self, stemmer: bool) -> None:
        from rouge_score.tokenize import tokenize

        known = _Stemmer() if stemmer else None
        self.tokenize = functools.lru_cache(maxsize=20_000)(lambda text: tokenize(text, known))


@functools.cache
def _rouge(stemmer: bool) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], tokenizer=_Tokenizer(stemmer))


def rouge_l(predictions: Sequence[str], references: Sequence[str], stemmer: bool) -> Scores:
    """Mean ROUGE-L F1 over items. Texts without a letter or digit of `[a-z0-9]` (the tokenizer's) share nothing.

    Where neither side has such a token and the texts are equal, the score is 1: identical is the maximum.
    """
    scorer = _rouge(stemmer)
    values = []
    for prediction, reference in zip(predictions, references, strict=True):
        same = bool(prediction.strip()) and prediction.split() == reference.split()
        values.append(1.0 if same else scorer.score(reference, prediction)["rougeL"].fmeasure)
    return mean("rouge_l", values)


def normal(text: str) -> str:
    """The text as exact match compares it: line ends unified, spaces at line ends and outer blank lines gone."""
    return "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").split("\n")).strip("\n")


def exact_match(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """The share of predictions that are the reference, but for spaces at line ends and outer blank lines."""
    hits = [
        bool(normal(p).strip()) and normal(p) == normal(r)
        for p, r in zip(predictions, references, strict=True)
    ]
    return mean("exact_match", hits, proportion=True)
