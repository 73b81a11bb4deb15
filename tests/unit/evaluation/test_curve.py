"""The curve's numbers are those of its rows, and a limit is kept by the largest factor up to the first that fails."""

from __future__ import annotations

import numpy as np
import pytest

from relearn.decoding.items import CurveRow
from relearn.errors import InputError
from relearn.evaluation.curve import describe_curve, find_largest, read_curve
from tests.unit.evaluation.test_equal_skill import TASKS, USUAL, bend, curve, rows, saturate


def test_a_described_curve_holds_bits_per_byte_changes_and_shares() -> None:
    found = describe_curve(curve(saturate(1.0), bend(0.5), noise=0.2), TASKS, 300, 3)
    assert found["factors"] == USUAL
    assert "limit" not in found
    made = rows("old", bend(0.5), noise=0.2)
    for place, point in enumerate(found["tasks"]["old"]["points"]):
        bits = sum(row.nll[place] for row in made) / np.log(2) / sum(row.bytes for row in made)
        assert point["value"] == pytest.approx(bits, abs=1e-4)
        assert point["low"] <= point["value"] <= point["high"]
        assert point["change"] == pytest.approx(point["value"] - found["tasks"]["old"]["points"][0]["value"], abs=2e-4)
    new = found["tasks"]["new"]["points"]
    assert (new[0]["share"], new[8]["share"]) == (0, 1)
    assert (new[8]["share_low"], new[8]["share_high"]) == (1, 1)
    assert new[4]["change"] < 0 < new[4]["share"] < 1


def test_without_a_sure_change_there_is_no_share_of_it() -> None:
    found = describe_curve(curve(saturate(1.0), lambda factors: 0 * factors), TASKS, 200, 3)
    assert {point["share"] for point in found["tasks"]["old"]["points"]} == {None}


def test_the_limit_is_kept_up_to_the_first_factor_that_fails() -> None:
    """The loss is 0.4 λ² of 1.2 bits: 7% is passed between λ 0.375 and 0.5."""
    made = curve(saturate(1.0), bend(0.4, 2.0), clusters=200)
    found = find_largest(made, ["old"], 0.07)
    assert found["factor"] == 0.375
    assert (found["stopped"]["factor"], found["stopped"]["task"]) == (0.5, "old")
    assert found["stopped"]["ratio"] == pytest.approx(0.4 * 0.25 / 1.2, rel=0.05)
    assert found["stopped"]["low"] <= found["stopped"]["ratio"] <= found["stopped"]["high"]
    assert find_largest(made, ["old"], 3.0) == {
        "most_lost": 3.0, "factor": 1.5, "stopped": None
    }  # fmt: skip


def test_a_later_factor_that_would_hold_again_is_not_taken() -> None:
    def there_and_back(factors: np.ndarray) -> np.ndarray:
        return np.where(factors == 0.25, 1.0, 0.0)

    found = find_largest(curve(saturate(1.0), there_and_back), ["old"], 0.2)
    assert (found["factor"], found["stopped"]["factor"]) == (0.125, 0.25)


def test_every_old_task_must_hold() -> None:
    made = read_curve(rows("a", bend(0.1), clusters=200) + rows("b", bend(0.5), clusters=200), "curve")
    assert find_largest(made, ["a", "b"], 0.05)["stopped"]["task"] == "b"
    assert 0 < find_largest(made, ["a", "b"], 0.05)["factor"] < find_largest(made, ["a"], 0.05)["factor"]


def test_few_prompts_prove_nothing() -> None:
    """Even where hardly anything changes on them."""
    found = find_largest(curve(saturate(1.0), bend(0.001), clusters=20), ["old"], 0.05)
    assert found["factor"] == 0
    assert found["stopped"]["clusters"] == 20
    assert find_largest(curve(saturate(1.0), bend(0.001), clusters=40), ["old"], 0.05)["factor"] == 1.5


def test_rows_that_are_no_curve_are_refused() -> None:
    row = CurveRow(id="a", task="old", group="a", bytes=3, factors=[0.0, 1.0], nll=[1.0, 2.0])
    with pytest.raises(InputError, match=r"here\.jsonl: holds no rows"):
        read_curve([], "here.jsonl")
    for factors in ([0.5, 1.0], [0.0, 2.0]):
        with pytest.raises(InputError, match=r"here\.jsonl: rows of different factors"):
            read_curve([row, row.model_copy(update={"factors": factors})], "here.jsonl")
        with pytest.raises(InputError, match="without 0 and 1"):
            read_curve([row.model_copy(update={"factors": factors})], "here.jsonl")
