"""The suite that comes with the package: every question can be answered, and every check tells right from nearly right."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import pytest

from relearn.evaluation.check_files import load_yaml
from relearn.evaluation.checks import CheckSettings, check_answer
from relearn.evaluation.suite import SHIPPED, Item, Skill, read_skill
from relearn.sandbox.runner import ProgramLimits, bubblewrap

SETTINGS = CheckSettings(
    ngram=4, loop_share=0.5, execute="strict", limits=ProgramLimits(60, 512)
)  # a busy machine is slow
# What must fail may as well run out of time: one question shows a program that never ends.
BRIEF = dataclasses.replace(SETTINGS, limits=ProgramLimits(2, 512))
ANSWERS = Path(__file__).parent / "skills"
NAMES = sorted(file.stem for file in SHIPPED.glob("*.yaml"))
JUNK = (
    "Thank you for this interesting question.",
    "Sure, here is the answer.",
    "I agree with you: the film was a good one to watch with a friend. The acting was fine, and so was the script.",
)


@functools.cache
def skill(name: str) -> Skill:
    return read_skill(SHIPPED / f"{name}.yaml")


def answers(name: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = load_yaml(ANSWERS / f"{name}.yaml", "write right answers and near misses there")[kind]
    return found


def check(item: Item, answer: str, settings: CheckSettings = SETTINGS) -> str:
    if any(one.runs_programs for one in item.check) and bubblewrap() is None:
        pytest.skip("programs run only under bubblewrap")
    return check_answer(item.check, answer, settings).reason


@pytest.mark.parametrize("name", NAMES)
def test_a_skill_has_40_items_or_200_of_20_templates(name: str) -> None:
    items = skill(name).items
    clusters = {item.cluster for item in items}
    assert len(clusters) >= 40 or (len(items) >= 200 and len(clusters) >= 20)
    assert len({" ".join(item.instruction.casefold().split()) for item in items}) == len(items)


@pytest.mark.parametrize("name", NAMES)
def test_every_item_has_a_right_answer_that_passes(name: str) -> None:
    assert {item.id: reason for item in skill(name).items if (reason := check(item, item.answer))} == {}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_passes_by_repeating_the_question_or_by_empty_words(name: str) -> None:
    items = skill(name).items
    told = [
        (item.id, words)
        for item in items
        for words in (item.messages[-1].content, *JUNK)
        if not check(item, words, BRIEF)
    ]
    assert told == []


@pytest.mark.parametrize("name", NAMES)
def test_right_answers_in_other_words_pass(name: str) -> None:
    items = {item.id: item for item in skill(name).items}
    told = [(items[key], answer) for key, listed in answers(name, "good").items() for answer in listed]
    assert len(told) >= 12
    assert [(item.id, answer, reason) for item, answer in told if (reason := check(item, answer))] == []


@pytest.mark.parametrize("name", NAMES)
def test_near_misses_fail_for_their_reason(name: str) -> None:
    items = {item.id: item for item in skill(name).items}
    told = [(items[key], *pair) for key, listed in answers(name, "near").items() for pair in listed]
    assert len(told) >= 12
    assert [
        (item.id, answer, check(item, answer)) for item, answer, why in told if why not in check(item, answer)
    ] == []
    assert all(why for *_, why in told)
