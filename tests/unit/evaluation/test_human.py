"""Ratings join the points, the intervals and the table; those of texts that no longer stand are left out."""

from __future__ import annotations

from pathlib import Path

from relearn.evaluation import blind, human, ratings
from relearn.evaluation.models import Evaluation
from relearn.report import table
from tests.unit.report.material import predictions

SEED = 7


def evaluation() -> Evaluation:
    return Evaluation(
        {m: {} for m in ("base", "2b", "2c")}, {"tasks": {}, "claim": "these checkpoints", "warnings": []}, {}, [], []
    )


def write(folder: Path, raters: int, score: dict[str, int]) -> None:
    lines = ["rater,item,key,helpfulness,correctness"]
    for rater in range(raters):
        for model, rows in predictions().items():
            lines += [
                f"r{rater},{row.id},{blind.key(SEED, row.id, model, row.prediction)},{score[model]},{(number + rater) % 5 + 1}"
                for number, row in enumerate(rows)
            ]
    (folder / "ratings.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_each_score_reaches_its_model(tmp_path: Path) -> None:
    write(tmp_path, 2, {"base": 4, "2b": 1, "2c": 5})
    found = evaluation()
    given = ratings.read(tmp_path, blind.names(predictions(), SEED))
    assert human.join(found, given, 100, SEED) == 0
    assert [found.points[m]["human"]["helpfulness"] for m in ("base", "2b", "2c")] == [4.0, 1.0, 5.0]
    assert found.intervals["human"]["raters"] == 2
    assert found.intervals["human"]["agreement"]["helpfulness"]["alpha"] == 1.0
    text = table.markdown(found.rows, found.intervals)
    assert "human: 216 ratings by 2" in text
    assert "| 2b " in text
    assert "α helpfulness 1.00" in text


def test_ratings_of_other_texts_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, 1, {"base": 4, "2b": 1, "2c": 5})
    given = ratings.read(tmp_path, blind.names(predictions(), SEED + 1))
    found = evaluation()
    assert human.join(found, given, 100, SEED) == len(given) == 108
    assert "human" not in found.intervals
    assert not found.rows
