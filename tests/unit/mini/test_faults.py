from __future__ import annotations

import json

import pytest

from relearn.mini.faults import FAILURES, KINDS, FaultPlan


def test_faults_come_at_their_rates_and_the_same_for_the_same_seed() -> None:
    rates = dict.fromkeys(KINDS, 0.05)
    drawn = [faults.next() for faults in [FaultPlan(rates, 1)] for _ in range(20_000)]
    for kind in KINDS:
        assert drawn.count(kind) / len(drawn) == pytest.approx(0.05, abs=0.006)
    again = FaultPlan(rates, 1)
    assert drawn == [again.next() for _ in range(20_000)]
    other = FaultPlan(rates, 2)
    assert drawn != [other.next() for _ in range(20_000)]


def test_a_script_comes_first() -> None:
    faults = FaultPlan({"stall": 1.0}, script=["ok", "auth", "reset"])
    assert [faults.next() for _ in range(4)] == [None, "auth", "reset", "stall"]


@pytest.mark.parametrize(
    ("rates", "script"),
    [({"flood": 0.1}, []), ({"auth": 0.1}, []), ({}, ["flood"]), ({"stall": 0.6, "reset": 0.6}, [])],
)
def test_what_is_no_fault_is_refused(rates: dict[str, float], script: list[str]) -> None:
    with pytest.raises(ValueError, match=r"kind of fault|add up"):
        FaultPlan(rates, script=script)


def test_errors_have_the_shape_of_the_api() -> None:
    for failure in FAILURES.values():
        assert set(json.loads(failure.body())["error"]) == {"message", "type", "param", "code"}
        assert failure.status >= 400
