"""The table by skill: what was lost, what could not be, and what was not measured."""

from __future__ import annotations

from typing import Any

import pytest

from relearn.errors import InputError
from relearn.evaluation import checking, skill_table, skills
from relearn.evaluation.checking import Checker
from relearn.evaluation.roles import ModelRoles
from relearn.evaluation.suite import SkillItem
from relearn.records import Prediction
from relearn.sandbox.runner import ProgramLimits

LIMITS = ProgramLimits(5, 256)
ROLES = ModelRoles("base", "tuned", "replayed")
N = 40


def item(skill: str, number: int, floor: float = 0.0, **check: Any) -> SkillItem:
    return SkillItem(
        id=f"s-{skill}-{number}", task="s", skill=skill, about=f"about {skill}", floor=floor, max_new_tokens=9,
        checks=[check or {"type": "contains", "all": ["right"]}],
    )  # fmt: skip


def answers(items: list[SkillItem], right: dict[str, int], model: str = "x") -> list[Prediction]:
    """The first so many items of each skill are answered right."""
    return [
        Prediction(
            id=one.id, task="s", group=one.id, prompt=f"question {one.id}", reference=None,
            prediction="right" if int(one.id.rsplit("-")[-1]) < right[one.skill] else f"wrong by {model}",
            finish_reason="stop", nll=None, bytes=None,
        )
        for one in items
    ]  # fmt: skip


ITEMS = [item(skill, number) for skill in ("lost", "kept", "never") for number in range(N)]
RIGHT = {
    "base": {"lost": 36, "kept": 30, "never": 0},
    "tuned": {"lost": 4, "kept": 29, "never": 1},
    "replayed": {"lost": 34, "kept": 30, "never": 0},
}


def measure(items: list[SkillItem] = ITEMS, right: dict[str, dict[str, int]] = RIGHT, execute: Any = "strict") -> Any:
    predictions = {model: answers(items, one, model) for model, one in right.items()}
    return skills.measure_skills(predictions, items, Checker(items, execute, LIMITS), ROLES, 200, 999, 1)


def test_what_was_lost_and_came_back_is_told_by_skill() -> None:
    found = measure()
    lost, kept = found["skills"]["lost"], found["skills"]["kept"]
    first, second = lost["comparisons"]
    assert (first["value"], second["value"]) == (0.8, 0.75)
    assert max(first["p_holm"], second["p_holm"]) < 0.01
    assert lost["flips"]["base to tuned"] == {"lost": 32, "gained": 0, "kept": 4}
    assert kept["comparisons"][0]["p_holm"] > 0.5
    assert kept["comparisons"][0]["detectable"] > 0.02
    mean = found["mean"]
    assert mean["skills"] == 2  # the skill that nobody has is no part of it
    assert mean["models"]["base"]["value"] == pytest.approx((36 + 30) / 80)
    assert mean["comparisons"][0]["value"] == pytest.approx((32 + 1) / 80, abs=1e-4)
    assert mean["comparisons"][0]["low"] > 0.3
    text = skill_table.describe(found)
    assert "Mean over 2 skills: -41.2 points" in text
    assert "p < 0.001: a loss" in text.replace("p = 0.001", "p < 0.001")
    assert "no difference shown; one of" in text


def test_what_no_model_can_do_is_not_measurable_rather_than_kept() -> None:
    found = measure()
    never = found["skills"]["never"]
    assert never["status"] == "not measurable here"
    assert "comparisons" not in never
    assert "`never`: not measurable here: the best model passes 2%" in skill_table.describe(found)
    nobody = measure(right={model: {"lost": 0, "kept": 0, "never": 0} for model in RIGHT})
    assert nobody["mean"] is None
    assert "no model here passes any item" in skill_table.describe(nobody)


def test_a_skill_that_only_the_tuned_model_has_is_measured() -> None:
    found = measure(right=RIGHT | {"tuned": {"lost": 4, "kept": 29, "never": 30}})
    assert found["skills"]["never"]["comparisons"][0]["value"] == -0.75


def test_guessing_is_no_skill() -> None:
    items = [item("labels", number, floor=0.5) for number in range(N)]
    right = {"base": {"labels": 22}, "tuned": {"labels": 12}}
    found = measure(items, right)
    assert (
        found["skills"]["labels"]["reason"] == "the best model passes 55%, not significantly more than guessing (50%)"
    )


def test_every_skill_weighs_the_same_in_the_mean() -> None:
    items = [item("many", number) for number in range(200)] + [item("few", number) for number in range(N)]
    found = measure(items, {"base": {"many": 200, "few": 40}, "tuned": {"many": 100, "few": 40}})
    assert found["mean"]["models"]["tuned"]["value"] == 0.75


def test_programs_run_under_bubblewrap_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    program = {"type": "function", "name": "f", "tests": ["assert f(1) == 2"]}
    items = [item("code", number, **program) for number in range(3)] + ITEMS
    right = {model: one | {"code": 3} for model, one in RIGHT.items()}
    ran: list[str] = []
    monkeypatch.setattr("relearn.sandbox.runner.run", lambda *_: ran.append("run"))
    monkeypatch.setattr(checking, "bubblewrap", lambda: None)
    for execute in ("strict", "best_effort", "off"):
        found = measure(items, right, execute)
        assert found["skills"]["code"]["status"] == "not measured"
        assert found["mean"]["skills"] == 2
        assert "bubblewrap" in skill_table.describe(found)
    assert ran == []


def test_answers_stand_side_by_side_those_that_differ_first() -> None:
    text = skill_table.show_answers(measure())
    assert "about lost: 32 of 40 items differ" in text
    assert text.index("s-lost-4") < text.index("s-lost-0")
    assert "✗ does not hold right" in text
    assert "wrong by tuned" in text


def test_an_answer_that_is_missing_is_named() -> None:
    predictions = {model: answers(ITEMS, one)[1:] for model, one in RIGHT.items()}
    with pytest.raises(InputError, match="predictions of base: s-lost-0 was not answered"):
        skills.measure_skills(predictions, ITEMS, Checker(ITEMS, "off", LIMITS), ROLES, 200, 99, 1)
