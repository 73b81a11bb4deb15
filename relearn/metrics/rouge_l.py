"""ROUGE-L F1 by rouge-score, the mean over items (Lin 2004), over words of any script."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from relearn.metrics.metric import Metric
from relearn.scripts import split_words
from relearn.statistics.scores import Scores, mean


@functools.cache
def _rouge(stemmer: bool) -> Any:
    """rouge-score's scorer with a memory: a corpus has few different words, and stemming is most of its time."""
    from nltk.stem.porter import PorterStemmer
    from rouge_score.rouge_scorer import RougeScorer

    stem = functools.lru_cache(100_000)(PorterStemmer().stem)

    @functools.lru_cache(1_000)  # a text serves every model, whose answers are scored together
    def tokenize(text: str) -> list[str]:
        # As rouge-score's own tokenizer for a-z and 0-9, which sees no other letter.
        return [stem(word) if stemmer and len(word) > 3 and word.isascii() else word for word in split_words(text)]

    return RougeScorer(["rougeL"], tokenizer=SimpleNamespace(tokenize=tokenize))


def rouge_l(predictions: Sequence[str], references: Sequence[str], rouge_stemmer: bool) -> Scores:
    """Mean ROUGE-L F1 over items. Texts that are equal but for spaces score 1; an empty one scores 0."""
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
    apart=True,
    options=("rouge_stemmer",),
    library="rouge-score",
    paper="Lin 2004",
    describe=lambda rouge_stemmer: {
        "stemmer": "porter" if rouge_stemmer else "none",
        "tokenizer": "letters and digits of any script; a character a word where a script writes no spaces",
        "aggregate": "mean",
    },
)
