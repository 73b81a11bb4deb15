"""Gates against exact bounds and by simulation; the long one is `python -m bench.gate_coverage`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from bench.gate_coverage import WANTED, Row, measure, rows
from relearn.statistics.gates import Losses, chance_above, combined_status, judge, loss_ends, samples_to_decide


def binary(same: int, lost: int, gained: int = 0, neither: int = 0) -> Losses:
    before = np.repeat([1.0, 1.0, 0.0, 0.0], [same, lost, gained, neither])
    after = np.repeat([1.0, 0.0, 1.0, 0.0], [same, lost, gained, neither])
    return Losses(before, after, np.ones(len(before)), 1, 1.0)


@pytest.mark.parametrize(("n", "lost"), [(5, 0), (5, 1), (20, 0), (20, 3), (300, 0), (2000, 0), (2000, 9)])
def test_losses_alone_have_clopper_and_pearsons_bound(n: int, lost: int) -> None:
    assert loss_ends(binary(n - lost, lost)).high == pytest.approx(beta.ppf(0.975, lost + 1, n - lost), rel=0.005)


def test_the_tail_is_that_of_the_weighted_sum() -> None:
    generator = np.random.default_rng(1)
    values = generator.choice([-1.15, -0.15, 0.85], p=[0.05, 0.85, 0.1], size=60)
    weights = generator.exponential(size=(200_000, 61))
    drawn = (weights @ np.append(values, 0.85) > 0).mean()
    assert chance_above(values, np.ones(60), 0.85) == pytest.approx(drawn, abs=0.002)


@pytest.mark.parametrize(
    "row", [row for row in rows() if row.clusters * row.high <= 3_000][::4], ids=lambda row: row.label
)
def test_a_loss_of_exactly_the_margin_is_seldom_proven_within(row: Row) -> None:
    within, _ = measure(row, 400, 7)
    assert within <= WANTED + 0.02  # 400 draws: two standard errors


def test_no_flip_is_never_certain() -> None:
    for n in (8, 20, 200, 2000):
        ends = loss_ends(binary(n, 0))
        assert ends.low < 0 < ends.high
        assert ends.high > 3.6 / n * (n > 50)


def test_the_three_answers_are_those_of_the_interval() -> None:
    for losses in (binary(380, 4, 4, 12), binary(200, 60, 2, 138), binary(90, 5, 1, 4)):
        for relative in (False, True):
            ends = loss_ends(losses, relative)
            for margin in (0.005, 0.02, 0.05, 0.2, 0.5):
                wanted = "within" if ends.high < margin else "worse" if ends.low > margin else "undecided"
                assert judge(losses, margin, relative) == wanted


def test_lower_may_be_better_and_scores_may_have_any_range() -> None:
    generator = np.random.default_rng(3)
    before = generator.normal(2, 0.3, 400)
    losses = Losses(before, before + 0.1, np.ones(400), -1, 2.0, 1.0)
    assert losses.loss == pytest.approx(0.1)
    assert judge(losses, 0.15, False) == "within"
    assert judge(losses, 0.05, False) == "worse"
    assert judge(losses, 0.08, True) == "within"
    assert judge(losses, 0.02, True) == "worse"


def test_a_base_of_nothing_has_no_relative_loss() -> None:
    assert judge(binary(0, 0, 0, 50), 0.05, True) == "unjudged"
    assert judge(binary(0, 0, 0, 500), 0.05, False) == "within"


def test_a_cluster_counts_as_one_where_it_moves_as_one() -> None:
    alone = binary(380, 0)
    together = Losses(np.full(19, 20.0), np.full(19, 20.0), np.full(19, 20.0), 1, 1.0)
    assert judge(alone, 0.02, False) == "within"
    assert judge(together, 0.02, False) == "undecided"


def test_the_sample_that_would_decide_decides() -> None:
    losses = binary(95, 3, 2)
    needed = samples_to_decide(losses, 0.05, False, 100)
    assert needed is not None
    times = needed / 100
    scaled = binary(round(95 * times), round(3 * times), round(2 * times))
    assert judge(losses, 0.05, False) == "undecided"
    assert judge(scaled, 0.05, False) == "within"
    assert samples_to_decide(binary(98, 2), 0.02, False, 100) is None, "the effect is the margin"


def test_status_is_the_first_of_1_3_4_0() -> None:
    assert combined_status(["within", "within"]) == 0
    assert combined_status(["within", "undecided"]) == 4
    assert combined_status(["undecided", "worse"]) == 3
    assert combined_status(["worse", "unjudged", "undecided"]) == 1
    assert combined_status([]) == 0


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9)), min_size=2, max_size=30), st.booleans()
)
def test_ends_hold_the_loss(clusters: list[tuple[int, int, int]], relative: bool) -> None:
    sizes = np.array([size for _, _, size in clusters], dtype=float)
    before, after = (np.array([min(one[side], one[2]) for one in clusters], dtype=float) for side in (0, 1))
    losses = Losses(before, after, sizes, 1, 1.0)
    if relative and losses.base == 0:
        return
    ends = loss_ends(losses, relative)
    assert ends.low < losses.loss / (losses.base if relative else 1) < ends.high or ends.high <= 1
