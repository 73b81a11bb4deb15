"""Intervals and tests against published values, exact enumeration, and small simulations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from relearn.scoring import resampling as rs
from relearn.scoring.scores import mean, ratio


def singles(hits: int, items: int) -> np.ndarray:
    return np.array([[1.0 if i < hits else 0.0, 1.0] for i in range(items)])


@pytest.mark.parametrize(
    ("hits", "items", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_is_newcombes_table(hits: int, items: int, low: float, high: float) -> None:
    # Newcombe 1998a, table I, method 3. Clusters of one item: only Student's t for the normal differs.
    found = rs.wilson(singles(hits, items))
    assert found.low == pytest.approx(low, abs=0.004)
    assert found.high == pytest.approx(high, abs=0.015)
    assert found.low <= low + 1e-4
    assert found.high >= high - 1e-4


def test_all_right_and_all_wrong_have_width() -> None:
    right, wrong = rs.wilson(singles(30, 30)), rs.wilson(singles(0, 30))
    assert right.high == 1
    assert 0.8 < right.low < 0.95
    assert wrong.low == 0
    assert wrong.high == pytest.approx(1 - right.low)
    same = rs.newcombe(singles(30, 30), singles(30, 30))
    assert same.low < 0 < same.high


def test_clusters_widen_wilson() -> None:
    # Twenty clusters of five that agree within themselves know no more than twenty items.
    clustered = np.array([[5.0 if i < 10 else 0.0, 5.0] for i in range(20)])
    loose = np.array([[2.0 + i % 2, 5.0] for i in range(20)])
    assert rs.wilson(clustered).high - rs.wilson(clustered).low > 2 * (
        rs.wilson(loose).high - rs.wilson(loose).low
    )


def test_newcombe_of_unpaired_like_data() -> None:
    # Newcombe 1998b, table II (a): 56/70 - 48/80, method 10: 0.0524 to 0.3339. Paired here, with the two uncorrelated.
    generator = np.random.default_rng(5)
    first, second = singles(48, 80), singles(56, 70)
    generator.shuffle(second)
    generator.shuffle(first)
    found = rs.newcombe(np.vstack([first, np.zeros((70, 2))])[:70], second)
    assert found.low < 56 / 70 - first[:70, 0].mean() < found.high
    assert 0.2 < found.high - found.low < 0.36


def test_perfectly_paired_differences_are_narrower() -> None:
    generator = np.random.default_rng(1)
    before = np.stack([generator.integers(0, 2, 100).astype(float), np.ones(100)], axis=1)
    worse = before.copy()
    worse[np.flatnonzero(before[:, 0])[:10], 0] = 0
    shuffled = worse[generator.permutation(100)]
    paired, unpaired = rs.newcombe(before, worse), rs.newcombe(before, shuffled)
    assert paired.high < 0
    assert paired.high - paired.low < unpaired.high - unpaired.low


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
    assert rs.randomisation(before, after, ratio, 20_000, 3) == pytest.approx(extreme / total, abs=0.012)


def test_randomisation_of_equal_models_says_nothing() -> None:
    sums = singles(5, 20)
    assert rs.randomisation(sums, sums, ratio, 200, 1) == 1


def test_holm_by_hand() -> None:
    # Holm 1979's step-down of 0.01, 0.04, 0.03, 0.005: times 4, 3, 2, 1 in order, and never decreasing.
    assert rs.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert rs.holm([0.5, math.nan, 0.6])[0] == 1
    assert math.isnan(rs.holm([0.5, math.nan])[1])


def test_bootstrap_of_means_matches_the_normal_interval() -> None:
    generator = np.random.default_rng(2)
    values = generator.normal(3, 1, 400)
    numbers, clusters = rs.number_clusters([f"g{i}" for i in range(400)])
    found = rs.interval(mean("m", values), numbers, rs.draw(clusters, 4000, 9))
    half = 1.96 * values.std(ddof=1) / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.01)
    assert found.high == pytest.approx(values.mean() + half, abs=0.01)


def test_draws_are_paired_and_seeded() -> None:
    first, second = rs.draw(12, 50, 7), rs.draw(12, 50, 7)
    assert (first == second).all()
    assert (first.sum(axis=1) == 12).all()
    assert (rs.draw(12, 50, 8) != first).any()


def test_one_cluster_says_nothing() -> None:
    ends = rs.percentiles(np.ones(10), 1)
    assert math.isnan(ends.low)


def test_minimum_detectable() -> None:
    generator = np.random.default_rng(4)
    assert rs.minimum_detectable(generator.normal(0, 0.1, 20_000)) == pytest.approx(0.28, abs=0.01)


def test_warnings() -> None:
    assert rs.warnings(220, 44) == []
    assert len(rs.warnings(199, 29)) == 2


def test_small_simulation_covers() -> None:
    # bench/coverage.py runs the full simulation; this one only catches a wrong formula.
    generator = np.random.default_rng(11)
    drawn = rs.draw(30, 400, 3)
    hits = continuous = 0
    for _ in range(300):
        rates = generator.beta(8, 2, size=30)
        sums = np.stack([generator.binomial(5, rates), np.full(30, 5.0)], axis=1).astype(float)
        hits += rs.wilson(sums).holds(0.8)
        values = generator.gamma(2, 1, size=30)
        continuous += rs.percentiles(
            rs.resampled(np.stack([values, np.ones(30)], 1), ratio, drawn), 30
        ).holds(2.0)
    assert 0.91 <= hits / 300 <= 0.985
    assert 0.89 <= continuous / 300 <= 0.98
