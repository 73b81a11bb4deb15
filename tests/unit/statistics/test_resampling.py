"""Intervals against published values, exact enumeration, and small simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from relearn.statistics import resampling as rs
from relearn.statistics.scores import Scores, mean, ratio


def singles(hits: int, items: int) -> np.ndarray:
    return np.array([[1.0 if i < hits else 0.0, 1.0] for i in range(items)])


def interval(scores: Scores, numbers: np.ndarray, drawn: rs.Counts) -> rs.Interval:
    sums = rs.cluster_sums(scores.stats, numbers, drawn.shape[1])
    return rs.interval(scores, sums, rs.resampled(sums, scores.combine, drawn))


@pytest.mark.parametrize(
    ("hits", "items", "low", "high"), [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (1, 29, 0.0061, 0.1718)]
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
    assert rs.wilson(clustered).high - rs.wilson(clustered).low > 2 * (rs.wilson(loose).high - rs.wilson(loose).low)


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


def test_bootstrap_of_means_matches_the_normal_interval() -> None:
    generator = np.random.default_rng(2)
    values = generator.normal(3, 1, 400)
    numbers, clusters = rs.number_clusters([f"g{i}" for i in range(400)])
    found = interval(mean("m", values), numbers, rs.draw(clusters, 4000, 9))
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
        continuous += rs.percentiles(rs.resampled(np.stack([values, np.ones(30)], 1), ratio, drawn), 30).holds(2.0)
    assert 0.91 <= hits / 300 <= 0.985
    assert 0.89 <= continuous / 300 <= 0.98


def plain(hits: int, items: int) -> rs.Interval:
    """Wilson's interval without Student's t, as the publications have it."""
    return rs.Interval(*rs._wilson_ends(hits / items, items))


def test_quotient_of_koopmans_example() -> None:
    # Koopman 1984: 36/40 over 16/80 has the score interval 2.94 to 7.15.
    found = rs.quotient(36 / 40, plain(36, 40), 16 / 80, plain(16, 80), 0.0)
    assert found.low == pytest.approx(2.94, abs=0.1)
    assert found.high == pytest.approx(7.15, abs=0.25)


@pytest.mark.parametrize(
    "first", [(0.4, 0.3, 0.55), (0.0, 0.0, 0.1), (-0.2, -0.3, 0.1), (-0.5, -0.7, -0.4), (0.1, -0.2, 0.2)]
)
@pytest.mark.parametrize("second", [(0.5, 0.4, 0.58), (0.2, 0.05, 0.6), (1.0, 0.9, 1.0)])
@pytest.mark.parametrize("phi", [-0.6, 0.0, 0.7])
def test_quotient_ends_are_where_the_difference_touches_zero(
    first: tuple[float, float, float], second: tuple[float, float, float], phi: float
) -> None:
    # The definition, computed by scanning for the ratios R whose interval of first - R second holds 0.
    ends = rs.Interval(*first[1:])
    found = rs.quotient(first[0], ends, second[0], rs.Interval(*second[1:]), phi)

    def holds(ratio: float) -> bool:
        scaled = sorted((ratio * second[1], ratio * second[2]))
        turned = phi if ratio >= 0 else -phi
        return rs.difference(first[0], ends, ratio * second[0], rs.Interval(*scaled), turned).holds(0.0)

    step = 1e-4 * max(1.0, abs(found.high), abs(found.low))
    assert found.low <= first[0] / second[0] <= found.high
    assert holds(found.low + step)
    assert not holds(found.low - step)
    assert holds(found.high - step)
    assert not holds(found.high + step)


def test_quotient_has_width_at_none_of_n_and_needs_a_denominator_above_zero() -> None:
    found = rs.quotient(0.0, plain(0, 220), 208 / 220, plain(208, 220), 0.0)
    assert found.low == 0
    assert 0.015 < found.high < 0.02
    nothing = rs.quotient(0.2, plain(4, 20), 0.0, plain(0, 20), 0.0)
    assert math.isnan(nothing.low)
    assert math.isnan(nothing.high)


def test_quotients_of_paired_shares_cover() -> None:
    # Clusters of 4 under two models that go together; the true ratio is 0.4 / 0.8.
    generator = np.random.default_rng(21)
    hits = 0
    for _ in range(400):
        common = generator.normal(0, 0.1, size=40)
        first, second = (
            np.stack([generator.binomial(4, np.clip(share + common, 0, 1)), np.full(40, 4)], 1).astype(float)
            for share in (0.8, 0.4)
        )
        phi = rs.correlation(second, first)
        found = rs.quotient(rs.share(second), rs.wilson(second), rs.share(first), rs.wilson(first), phi)
        hits += found.holds(0.5)
    assert 0.92 <= hits / 400 <= 0.985


def test_a_stratum_keeps_its_size_in_every_resample() -> None:
    drawn = rs.draw_within([3, 5], 40, 7)
    assert drawn.shape == (40, 8)
    assert (drawn[:, :3].sum(axis=1) == 3).all()
    assert (drawn[:, 3:].sum(axis=1) == 5).all()
    assert (rs.draw_within([8], 40, 7) == rs.draw(8, 40, 7)).all()


def test_draws_in_bounded_memory_are_those_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = np.stack([np.random.default_rng(3).normal(size=50), np.ones(50)], 1)
    whole = rs.draw_within([30, 20], 200, 7)
    generator = np.random.default_rng(7)
    assert (whole[:, :30] == generator.multinomial(30, np.full(30, 1 / 30), size=200)).all()
    values = rs.resampled(sums, ratio, whole)
    monkeypatch.setattr(rs, "CELLS", 500)  # ten to twenty-five resamples at a time
    assert (rs.draw_within([30, 20], 200, 7) == whole).all()
    assert rs.resampled(sums, ratio, whole) == pytest.approx(values, abs=1e-12)
    assert values == pytest.approx(ratio(whole.astype(float) @ sums), abs=1e-12)


def test_every_item_at_an_end_has_the_interval_of_a_share() -> None:
    numbers, clusters = rs.number_clusters([f"g{i // 2}" for i in range(60)])
    drawn = rs.draw(clusters, 200, 1)
    none = interval(mean("codebleu", np.zeros(60)), numbers, drawn)
    assert none == interval(mean("pass_at_1", np.zeros(60), proportion=True), numbers, drawn)
    assert 0 == none.low < none.high
    ratings = interval(mean("helpfulness", np.ones(60), unit=False), numbers, drawn)  # 1 of 1 to 5
    assert ratings == rs.Interval(1.0, 1.0)
