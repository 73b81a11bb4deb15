"""Ratings join the points, the intervals and the table; those of texts that no longer exist are left out."""

from __future__ import annotations

from pathlib import Path

from relearn.evaluation import blind, human, ratings
from relearn.evaluation.models import Evaluation
from relearn.evaluation.ratings import Given, Preference, Rating
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
    assert human.join(found, given, 100, SEED) == len(given.ratings) == 108
    assert "human" not in found.intervals
    assert not found.rows


def test_raters_who_fail_a_check_are_shown_apart(tmp_path: Path) -> None:
    write(tmp_path, 2, {"base": 4, "2b": 1, "2c": 5})
    given = ratings.read(tmp_path, blind.names(predictions(), SEED))
    given.inattentive.add("r1")
    found = evaluation()
    assert human.join(found, given, 100, SEED) == 0
    summary = found.intervals["human"]
    assert (summary["raters"], summary["apart"]["raters"], summary["ratings"]) == (1, 1, 108)
    assert summary["apart"]["models"]["2b"]["helpfulness"]["value"] == 1
    assert "1 more failed an attention check" in table.markdown(found.rows, found.intervals)
    given.inattentive.add("r0")
    nobody = evaluation()
    human.join(nobody, given, 100, SEED)
    assert not nobody.rows
    assert nobody.intervals["human"]["apart"]["raters"] == 2


def test_people_are_compared_with_a_judge_on_what_both_looked_at() -> None:
    judged = {(f"i{n}", "base", "2b"): (-1, 0, 1)[n % 3] for n in range(30)}
    chosen = [Preference(rater, item, "2b", "base", -side) for (item, _, _), side in judged.items() for rater in "ab"]
    found = human.compare_with_judge(judged, Given(preferences=chosen), 100, SEED)
    assert found is not None
    assert (found["alpha"], found["pairs"], found["raters"], found["people"]["alpha"]) == (1.0, 30, 2, 1.0)
    # scores say the same of two answers, where nobody chose between them
    scored = [
        Rating("a", item, model, 3 + (side if model == "2b" else 0), 3)
        for (item, _, _), side in judged.items()
        for model in ("base", "2b")
    ]
    assert human.compare_with_judge(judged, Given(scored), 100, SEED)["alpha"] == 1.0  # type: ignore[index]
    against = [Preference("a", item, "base", "2b", -side) for (item, _, _), side in judged.items()]
    opposed = human.compare_with_judge(judged, Given(preferences=against), 100, SEED)
    assert opposed is not None
    assert opposed["alpha"] < 0
    assert human.compare_with_judge(judged, Given(preferences=against, inattentive={"a"}), 100, SEED) is None
    assert human.compare_with_judge({}, Given(preferences=against), 100, SEED) is None
