"""The methods that get further seeds: by what is lost for what is gained on validation rows."""

from __future__ import annotations

import pytest

from relearn.errors import InputError
from relearn.evaluation.choice import Look, Trade, choose_methods, has_forgotten, measure_trade

LOOKS: list[Look] = [
    {"step": 0.0, "train": None, "new": 3.0, "other": 2.0, "old": 1.0, "watched": 1.5},
    {"step": 5.0, "train": 2.5, "new": 0.1, "other": 0.1, "old": 9.0, "watched": 9.0},
    {"step": 10.0, "train": 2.0, "new": 1.0, "other": 1.0, "old": 1.2, "watched": 1.9},
]


def test_what_is_gained_and_lost_is_from_the_first_look_to_the_last_and_a_mean_over_tasks() -> None:
    found = measure_trade(LOOKS, ["new", "other"], ["old", "watched"], "2b.csv")
    assert (found.gained, found.lost) == pytest.approx((1.5, 0.3))  # (2 + 1) / 2, (0.2 + 0.4) / 2
    assert found.price == pytest.approx(0.2)
    without = [{**look, "watched": None} for look in LOOKS]  # no validation rows of that task
    assert measure_trade(without, ["new"], ["old", "watched"], "2b.csv").lost == pytest.approx(0.2)
    for looks, new in ((0, ["new"]), (3, ["unseen"]), (3, [])):
        with pytest.raises(InputError, match=r"2b\.csv: no losses of .*validation rows"):
            measure_trade(LOOKS[:looks], new, ["old"], "2b.csv")


TRADES = {
    "plain": Trade(2.0, 1.0),  # 0.5 lost for each gained
    "harsh": Trade(2.2, 1.0),  # 0.45
    "gentle": Trade(1.9, 0.19),  # 0.1
    "slow": Trade(1.81, 0.362),  # 0.2; a little more than the 1.8 wanted
    "timid": Trade(1.7, 0.0),  # loses nothing, and gains too little
    "kind": Trade(1.8, -0.1),  # better at the old tasks than base
}


def test_those_that_lose_least_for_what_they_gain_are_chosen() -> None:
    assert choose_methods(TRADES, "plain", 2) == ["kind", "gentle"]
    assert choose_methods(TRADES, "plain", 3) == ["kind", "gentle", "slow"]
    assert choose_methods(TRADES, "plain", 9) == ["kind", "gentle", "slow", "harsh"]  # fewer than were asked for


def test_a_method_that_could_not_be_compared_at_equal_new_skill_is_not_chosen() -> None:
    assert "timid" not in choose_methods(TRADES, "plain", 9)
    assert "timid" in choose_methods(TRADES | {"timid": Trade(1.8, 0.0)}, "plain", 9)
    assert choose_methods(TRADES | {"broken": Trade(-1.0, -5.0)}, "plain", 1) == ["kind"]


def test_without_forgetting_there_is_nothing_to_choose_by() -> None:
    for plain in (Trade(2.0, 0.0), Trade(2.0, -0.1), Trade(0.0, 1.0), Trade(-1.0, 1.0)):
        assert not has_forgotten(plain)
        assert choose_methods(TRADES | {"plain": plain}, "plain", 2) == []
    assert has_forgotten(TRADES["plain"])
