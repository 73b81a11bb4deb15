"""The spread over training seeds: by hand, and through the evaluation, the table and its CSV."""

from __future__ import annotations

import csv
import io
import json

import pytest

from relearn.errors import InputError
from relearn.evaluation import seeds
from relearn.evaluation.models import evaluate_models
from relearn.evaluation.table import as_csv
from relearn.records import Prediction
from relearn.report import table
from tests.unit.evaluation.test_evaluation import ITEMS, PARAMS, ROLES, TASKS, code, rows

OFF = PARAMS.model_copy(update={"execute": "off"})
RIGHT = [code(i) for i in range(ITEMS)]
PROSE = [f"I agree, film number {i} is a fine film to see." for i in range(ITEMS)]


def mixed(right: int) -> list[Prediction]:
    return rows("code", RIGHT[:right] + PROSE[right:], 0.5) + rows("reviews", PROSE, 0.5)


MAIN = {"base": rows("code", RIGHT, 0.5) + rows("reviews", [""] * ITEMS, 1.0), "2b": mixed(0), "2c": mixed(6)}


def test_spread_by_hand() -> None:
    points = [
        {"2b": {"code": {"rouge_l": 0.2, "forgotten": 0.8}}},
        {"2b": {"code": {"rouge_l": 0.4}}},
        {"2b": {"code": {"rouge_l": 0.9, "forgotten": 0.1}}},
    ]
    found = seeds.spread(points)["code"]["2b"]
    # mean 0.5; squares 0.09 + 0.01 + 0.16 over n - 1 = 2
    assert found["rouge_l"] == {
        "mean": pytest.approx(0.5),
        "sd": pytest.approx(0.13**0.5),
        "min": 0.2,
        "max": 0.9,
        "n": 3,
    }
    assert (found["forgotten"]["n"], found["forgotten"]["mean"]) == (2, pytest.approx(0.45))
    assert seeds.spread([{"2b": {"code": {"bleu": 0.3}}}])["code"]["2b"]["bleu"]["sd"] is None


def test_the_claim_grows_with_the_seeds() -> None:
    assert seeds.claim(1) == "these checkpoints, not the method: one training seed"
    assert seeds.claim(2) == "these checkpoints, not the method: 2 training seeds"
    assert "as far as 3 training seeds show" in seeds.claim(3)


def test_further_seeds_stand_beside_the_main_one() -> None:
    alone = evaluate_models(MAIN, {}, OFF, 7, TASKS, ROLES)
    found = evaluate_models(
        MAIN,
        {},
        OFF,
        7,
        TASKS,
        ROLES,
        further={1: {"2b": mixed(3), "2c": mixed(12)}, 2: {"2b": mixed(3), "2c": mixed(9)}},
    )
    assert found.points == alone.points
    over = found.intervals.pop("seeds")
    assert found.intervals.pop("claim") != alone.intervals.pop("claim")
    assert found.intervals == alone.intervals
    assert over["seeds"] == [7, 1, 2]
    matches = over["tasks"]["code"]["2c"]["exact_match"]
    assert matches == {"mean": 0.75, "sd": 0.25, "min": 0.5, "max": 1.0, "n": 3}
    assert over["tasks"]["code"]["2b"]["forgotten"]["max"] == 1
    assert over["tasks"]["code"]["2c"]["recovered"] == {"mean": 0.7222, "sd": 0.2546, "min": 0.5, "max": 1.0, "n": 3}
    assert "recovered" not in over["tasks"]["reviews"]["2c"]
    assert over["tasks"]["pooled"]["2b"]["rouge_l"]["n"] == 3
    assert "base" not in over["tasks"]["code"]
    json.dumps(over, allow_nan=False)


def test_the_table_and_its_csv_show_the_spread_only_where_there_is_one() -> None:
    alone = evaluate_models(MAIN, {}, OFF, 7, TASKS, ROLES)
    found = evaluate_models(MAIN, {}, OFF, 7, TASKS, ROLES, further={1: {"2b": mixed(3), "2c": mixed(12)}})
    page = table.markdown(found.rows, found.intervals, caption="All | invented.")
    assert "All \\| invented.\n\nBrackets" in page
    assert "| 2c, 2 seeds |" in page
    assert "0.750 ± 0.354 (0.500 to 1.000)" in page
    assert "2b over seeds: forgotten" in page
    assert "the training seeds 7, 1," in page
    assert "seeds" not in table.markdown(alone.rows, alone.intervals).replace("one training seed", "")
    lines = list(csv.DictReader(io.StringIO(as_csv(found.rows))))
    row = next(r for r in lines if (r["model"], r["task"], r["metric"]) == ("2c", "code", "exact_match"))
    assert (row["value"], row["seeds_n"], row["seeds_mean"], row["seeds_max"]) == ("0.5", "2", "0.75", "1.0")
    assert next(r for r in lines if r["model"] == "base")["seeds_n"] == ""
    assert as_csv(alone.rows).splitlines()[0] == "model,task,metric,value,low,high,mark"


def test_a_seed_must_answer_the_same_items() -> None:
    with pytest.raises(InputError, match="is not in both"):
        evaluate_models(MAIN, {}, OFF, 7, TASKS, ROLES, further={1: {"2b": mixed(3)[1:], "2c": mixed(12)}})
