"""Crossings and readings of curves are those of a brute search, and what a draw lacks counts against every claim."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from relearn.statistics.curves import find_crossings, guarded_ends, guarded_p, read_at, values_along
from relearn.statistics.resampling import draw, percentiles

NUMBERS = st.floats(-5, 5).map(lambda value: round(value, 3))
FACTORS = np.array([0.0, 0.25, 0.5, 1.0, 1.5])


@given(st.lists(NUMBERS, min_size=4, max_size=4), st.floats(0.01, 4))
def test_a_crossing_is_the_first_place_that_a_fine_search_finds(later: list[float], target: float) -> None:
    gains = np.array([0.0, *later])
    (found,) = find_crossings(FACTORS, gains[None], np.array([target]))
    fine = np.linspace(0, 1.5, 60_001)
    reached = np.interp(fine, FACTORS, gains) >= target
    if not (gains >= target).any():
        assert math.isnan(found)
        assert not reached[:-1].any()
    else:
        assert abs(found - fine[reached.argmax()]) <= 1.5 / 60_000 + 1e-9
        assert np.isclose(np.interp(found, FACTORS, gains), target)


@given(st.lists(NUMBERS, min_size=5, max_size=5), st.floats(0, 1.5))
def test_a_reading_is_linear_between_factors(values: list[float], place: float) -> None:
    (found,) = read_at(FACTORS, np.array([values]), np.array([place]))
    assert np.isclose(found, np.interp(place, FACTORS, values))


def test_what_is_not_above_zero_is_no_target_and_nowhere_has_no_reading() -> None:
    gains = np.array([[0.0, 1.0, 2.0, 3.0, 4.0]] * 3)
    found = find_crossings(FACTORS, gains, np.array([0.0, -1.0, 5.0]))
    assert np.isnan(found).all()
    assert np.isnan(read_at(FACTORS, gains, found)).all()


def test_every_draw_is_what_its_clusters_are_together() -> None:
    generator = np.random.default_rng(1)
    amounts, sizes = generator.random((6, 3)), generator.integers(1, 9, 6).astype(float)
    drawn = draw(6, 20, 3)
    found = values_along(amounts, sizes, drawn)
    assert np.allclose(found[0], amounts.sum(axis=0) / sizes.sum())
    for row, counts in zip(found[1:], drawn, strict=True):
        rows = np.repeat(np.arange(6), counts)
        assert np.allclose(row, amounts[rows].sum(axis=0) / sizes[rows].sum())


def test_draws_without_a_value_count_against_every_claim() -> None:
    values = np.random.default_rng(2).normal(1.0, 0.2, 2000)
    whole = guarded_ends(values, 50)
    plain = percentiles(values, 50)
    assert abs(whole.low - plain.low) < 0.01
    assert abs(whole.high - plain.high) < 0.01
    assert guarded_p(values, 50) < 0.01
    few, many = values.copy(), values.copy()
    few[:10], many[:200] = np.nan, np.nan
    assert math.isfinite(guarded_ends(few, 50).low)
    assert guarded_ends(many, 50).low == -math.inf
    assert guarded_ends(many, 50).high == math.inf
    assert guarded_p(many, 50) > 0.05
    assert guarded_p(np.full(10, np.nan), 50) == 1.0


@given(st.integers(2, 60), st.floats(-3, 3))
def test_a_test_and_its_interval_say_the_same(clusters: int, middle: float) -> None:
    values = np.random.default_rng(3).normal(middle, 1.0, 999)
    ends, p = guarded_ends(values, clusters), guarded_p(values, clusters)
    if p < 0.045:
        assert not ends.low <= 0 <= ends.high
    if p > 0.055:
        assert ends.low <= 0 <= ends.high
