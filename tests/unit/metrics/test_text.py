"""BLEU, chrF and ROUGE-L against their libraries' corpus scores, published examples, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from relearn.metrics import bpb
from relearn.metrics.bleu import bleu
from relearn.metrics.chrf import chrf
from relearn.metrics.exact_match import exact_match
from relearn.metrics.rouge_l import rouge_l

PREDICTIONS = ["the cat sat on the mat", "a quick brown fox jumps", "", "def f(x): return x + 1", "été à Paris, oui."]
REFERENCES = [
    "the cat sat on a mat today",
    "the quick brown fox jumped over",
    "nothing here",
    "def f(x):\n  return x",
    "un été à Paris.",
]
sentence = st.lists(st.sampled_from(["the", "a", "cat", "dog", "sat", "on", "mat", ".", ",", "é"]), max_size=9).map(
    " ".join
)


def test_corpus_scores_are_sacrebleus() -> None:
    for ours, theirs in ((bleu, BLEU(force=True)), (chrf, CHRF())):
        expected = theirs.corpus_score(PREDICTIONS, [REFERENCES]).score / 100
        assert ours(PREDICTIONS, REFERENCES).point == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(sentence, sentence.filter(bool)), min_size=1, max_size=5))
def test_resampled_sums_score_as_sacrebleu_would(pairs: list[tuple[str, str]]) -> None:
    predictions, references = map(list, zip(*pairs, strict=True))
    for ours, theirs in ((bleu, BLEU(force=True)), (chrf, CHRF())):
        scores = ours(predictions, references)
        weights = np.arange(1, len(pairs) + 1) % 3
        again = [i for i, times in enumerate(weights) for _ in range(times)]
        if not again:
            continue
        expected = theirs.corpus_score([predictions[i] for i in again], [[references[i] for i in again]]).score
        assert scores.combine(weights @ scores.stats) == pytest.approx(expected / 100, abs=1e-9)


def test_the_published_bleu_example() -> None:
    # Papineni et al. 2002, section 2.1: candidate "the" x 7 has a clipped unigram precision of 2/7.
    stats = bleu(["the the the the the the the"], ["the cat is on the mat"]).stats[0]
    assert stats[2] / stats[6] == pytest.approx(2 / 7)


def lcs(a: list[str], b: list[str]) -> int:
    """Longest common subsequence, by the definition."""
    if not a or not b:
        return 0
    if a[0] == b[0]:
        return 1 + lcs(a[1:], b[1:])
    return max(lcs(a[1:], b), lcs(a, b[1:]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_rouge_l_by_the_definition(a: list[str], b: list[str]) -> None:
    common = lcs(a, b)
    expected = 2 * common / (len(a) + len(b)) if common else 0.0
    assert rouge_l([" ".join(a)], [" ".join(b)], rouge_stemmer=False).point == pytest.approx(expected)


def test_lins_rouge_l_example() -> None:
    # Lin 2004, section 3.1: S2 shares "police the gunman" with S1, S3 "the gunman".
    s1, s2, s3 = "police killed the gunman", "police kill the gunman", "the gunman kill police"
    assert rouge_l([s2], [s1], rouge_stemmer=False).point == pytest.approx(0.75)
    assert rouge_l([s3], [s1], rouge_stemmer=False).point == pytest.approx(0.5)
    assert rouge_l([s2], [s1], rouge_stemmer=True).point == pytest.approx(1.0)


def test_the_stemmer_is_rouge_scores_own() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    english = [pair for pair in zip(PREDICTIONS, REFERENCES, strict=True) if "".join(pair).isascii()]
    assert len(english) == 4
    for prediction, reference in english:
        expected = scorer.score(reference, prediction)["rougeL"].fmeasure
        assert rouge_l([prediction], [reference], rouge_stemmer=True).point == pytest.approx(expected)


@pytest.mark.parametrize("metric", [bleu, chrf, lambda p, r: rouge_l(p, r, True), exact_match])
def test_identical_is_one_and_empty_is_zero(metric) -> None:  # type: ignore[no-untyped-def]
    references = ["one two three four five", "привет, мир, как дела", "a b c d !"]
    assert metric(references, references).point == pytest.approx(1.0)
    assert metric([""] * 3, references).point == 0.0


def test_exact_match_forgives_only_line_ends() -> None:
    values = exact_match(["a \nb\n", "\r\na", " a", "A"], ["a\nb", "a", "a", "a"]).each()
    assert list(values) == [1, 1, 0, 0]


def test_bits_per_byte_is_pooled() -> None:
    # Two nats-to-bits by hand: (ln 2 * 8 + ln 2 * 4) / ln 2 over 4 + 8 bytes = 1 bit a byte.
    columns = {"nll": [np.log(2) * 8, np.log(2) * 4, None], "bytes": [4, 8, 10]}
    (scores,) = bpb.METRIC.measure(columns, None).scores
    assert scores.point == pytest.approx(1.0)
    assert scores.items == 2
    assert scores.sign == -1
