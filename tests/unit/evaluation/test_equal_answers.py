"""Answers at equal new skill: each method's headline metric beside plain's, paired, with Holm over the methods."""

from __future__ import annotations

import numpy as np
import pytest

from relearn.errors import InputError
from relearn.evaluation.equal_answers import AnswerScore, compare_answers, round_factor
from relearn.evaluation.roles import ScoredTask
from relearn.params.evaluate import Scoring
from relearn.records import Prediction

SETTINGS = Scoring(
    encoder="minilm", encoder_layers=None, cut_share=0.1, rouge_stemmer=True, execute="off", timeout_s=5.0, memory_mb=512,
    resamples=200, swaps=999,
)  # fmt: skip
TASKS = [
    ScoredTask(
        "old", "watched", ("pass_at_1", "exact_match", "bpb")
    ),  # programs are not run: exact_match is the headline
    ScoredTask("new", "new", ("bpb",)),
    ScoredTask("unasked", "watched", ("rouge_l",)),
]


def answers(right: int, nats: float, number: int = 40) -> list[Prediction]:
    """Of the old task the first so many are right; all references of the new task take `nats`."""
    found = []
    for task in ("old", "new"):
        for index in range(number):
            text = "the answer" if index < right else "another"
            found.append(
                Prediction(
                    id=f"{task}-{index}", task=task, group=str(index), prompt="?", reference="the answer", prediction=text,
                    raw=None, finish_reason="stop", nll=nats + index / 100, bytes=10,
                )
            )  # fmt: skip
    return found


def compare(**methods: list[Prediction]) -> dict[tuple[str, str], AnswerScore]:
    found = compare_answers(methods, TASKS, {}, SETTINGS, 5)
    return {(name, score.task): score for name, scores in found.items() for score in scores}


def test_each_task_has_its_headline_and_the_difference_from_plain() -> None:
    found = compare(plain=answers(10, 4.0), keeps=answers(30, 4.0), learns=answers(10, 2.0))
    assert {task for _, task in found} == {"old", "new"}
    plain, keeps, learns = (found[name, "old"] for name in ("plain", "keeps", "learns"))
    assert (plain.metric, plain.value, keeps.value) == ("exact_match", 0.25, 0.75)
    assert plain.better is None
    assert np.isnan([plain.more, plain.p_holm]).all()
    assert keeps.more == pytest.approx(0.5)
    assert 0.3 < keeps.more_low < 0.5 < keeps.more_high < 0.7
    assert keeps.better
    assert (learns.more, learns.p) == (0, 1)
    # less bits per byte are better, and the difference is in the metric's own direction
    lower = found["learns", "new"]
    assert lower.metric == "bpb"
    assert lower.more == pytest.approx(-0.2 / np.log(2), abs=1e-6)
    assert (lower.more_low, lower.more_high) == pytest.approx((lower.more, lower.more))  # all rows move alike
    assert lower.better


def test_holm_runs_over_the_methods_within_a_task() -> None:
    found = compare(plain=answers(10, 4.0), one=answers(15, 3.0), two=answers(13, 3.9))
    for task in ("old", "new"):
        least = min((found[name, task] for name in ("one", "two")), key=lambda score: score.p)
        assert least.p_holm == pytest.approx(min(1, 2 * least.p))
    assert found["one", "new"].p == pytest.approx(0.001)


def test_answers_to_other_prompts_are_refused() -> None:
    with pytest.raises(InputError, match="fewer and plain answered other prompts of old"):
        compare(plain=answers(10, 4.0), fewer=answers(10, 4.0, number=30))


def test_a_factor_is_found_again() -> None:
    assert [round_factor(factor) for factor in (0.8719, 0.8749, 1.0, 1.004, 0.001)] == [0.87, 0.87, 1.0, 1.0, 0.01]
