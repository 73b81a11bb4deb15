"""Tests of differences against exact enumeration, Holm by hand, and small simulations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from relearn.metrics.bleu import bleu_score
from relearn.statistics import resampling
from relearn.statistics.scores import ratio
from relearn.statistics.significance import holm, minimum_detectable, randomisation, randomisations


def test_randomisation_is_exact_enumeration() -> None:
    before = np.array([[1.0, 1], [0, 1], [3, 1], [2, 1], [0, 1], [1, 1]])
    after = np.array([[2.0, 1], [1, 1], [3.5, 1], [2, 1], [2, 1], [0, 1]])
    observed = abs(after[:, 0].sum() - before[:, 0].sum())
    extreme = total = 0
    for swap in itertools.product([0, 1], repeat=6):
        s = np.array(swap)
        difference = ((after[:, 0] - before[:, 0]) * (1 - 2 * s)).sum()
        extreme += abs(difference) >= observed - 1e-12
        total += 1
    assert randomisation(before, after, ratio, 20_000, 3) == pytest.approx(extreme / total, abs=0.012)


def test_randomisation_of_equal_models_says_nothing() -> None:
    sums = np.array([[float(i < 5), 1.0] for i in range(20)])
    assert randomisation(sums, sums, ratio, 200, 1) == 1


def test_holm_by_hand() -> None:
    # Holm 1979's step-down of 0.01, 0.04, 0.03, 0.005: times 4, 3, 2, 1 in order, and never decreasing.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, math.nan, 0.6])[0] == 1
    assert math.isnan(holm([0.5, math.nan])[1])


def test_minimum_detectable() -> None:
    generator = np.random.default_rng(4)
    assert minimum_detectable(generator.normal(0, 0.1, 20_000)) == pytest.approx(0.28, abs=0.01)


def test_swaps_are_tried_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(3)
    before, after = (np.stack([generator.normal(size=50), np.ones(50)], 1) for _ in range(2))
    whole = randomisation(before, after, ratio, 2000, 5)
    monkeypatch.setattr(resampling, "CELLS", 500)  # ten swaps at a time
    assert randomisation(before, after, ratio, 2000, 5) == pytest.approx(whole, abs=0.03)
    assert randomisation(before, before + np.array([1.0, 0.0]), ratio, 10_000, 5) == 1 / 10_001


def test_several_metrics_share_the_swaps_and_nothing_else() -> None:
    generator = np.random.default_rng(11)
    tests = []
    for columns, combine in ((2, ratio), (10, bleu_score), (2, ratio)):
        before = generator.integers(1, 9, size=(40, columns)).astype(float)
        tests.append((before, before + generator.integers(0, 3, size=before.shape), combine))
    together = randomisations(tests, 300, 9)
    assert together == [randomisation(before, after, combine, 300, 9) for before, after, combine in tests]
    assert len(set(together)) > 1
    assert randomisations([], 300, 9) == []


def test_a_model_without_a_score_has_no_p() -> None:
    something, nothing = np.ones((5, 2)), np.zeros((5, 2))
    found = randomisations([(something, nothing, ratio), (something, something, ratio)], 100, 1)
    assert math.isnan(found[0])
    assert found[1] == 1
