"""ROUGE-L F1 by rouge-score, the mean over items (Lin 2004)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from relearn.metrics.metric import Metric
from relearn.statistics.scores import Scores, mean


@functools.cache
def _rouge(stemmer: bool) -> Any:
    """rouge-score's scorer with a memory: a corpus has few different words, and stemming is most of its time."""
    from nltk.stem.porter import PorterStemmer
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenize import tokenize

    known = SimpleNamespace(stem=functools.lru_cache(100_000)(PorterStemmer().stem)) if stemmer else None
    once = functools.lru_cache(20_000)(lambda text: tokenize(text, known))
    return RougeScorer(["rougeL"], tokenizer=SimpleNamespace(tokenize=once))


def rouge_l(predictions: Sequence[str], references: Sequence[str], rouge_stemmer: bool) -> Scores:
    """Mean ROUGE-L F1 over items. Texts without a letter or digit of `[a-z0-9]` (the tokenizer's) share nothing.

    Where neither side has such a token and the texts are equal, the score is 1: identical is the maximum.
    """
    scorer = _rouge(rouge_stemmer)
    values = []
    for prediction, reference in zip(predictions, references, strict=True):
        same = bool(prediction.strip()) and prediction.split() == reference.split()
        values.append(1.0 if same else scorer.score(reference, prediction)["rougeL"].fmeasure)
    return mean("rouge_l", values)


METRIC = Metric(
    name="rouge_l",
    label="ROUGE-L",
    score=rouge_l,
    options=("rouge_stemmer",),
    library="rouge-score",
    paper="Lin 2004",
    describe=lambda rouge_stemmer: {
        "stemmer": "porter" if rouge_stemmer else "none",
        "tokenizer": "[a-z0-9]+",
        "aggregate": "mean",
    },
)
