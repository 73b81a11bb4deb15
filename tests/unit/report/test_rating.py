"""The rating page hides the models, and evaluation finds them again."""

from __future__ import annotations

import json
import re

from relearn.evaluation import attention, blind
from relearn.report.rating import choose, choose_pairs, mix_checks, render
from tests.unit.report.material import predictions

SEED = 1222
TASKS = ["code", "reviews", "general"]


def test_items_are_drawn_from_every_task_and_the_same_twice() -> None:
    items = choose(predictions(), TASKS, SEED, per_task=10)
    assert items == choose(predictions(), TASKS, SEED, per_task=10)
    assert len(items) == 30
    assert len({item.id for item in items}) == 30
    assert [sum(item.id.startswith(task) for item in items) for task in TASKS] == [10] * 3
    assert choose(predictions(), TASKS, SEED + 1) != items


def test_prompts_answered_alike_come_last() -> None:
    chosen = {item.id for item in choose(predictions(), TASKS, SEED, per_task=11)}
    assert not any(name.endswith("-0") for name in chosen)


def test_nothing_in_the_page_tells_the_model() -> None:
    text = render(choose(predictions(), TASKS, SEED))
    body = re.sub(r"<style>.*?</style>|base-uri", "", text, flags=re.DOTALL)
    assert not re.search(r"\b(base|2b|2c)\b", body)
    assert str(SEED) not in text


def test_the_order_of_the_models_changes_from_item_to_item() -> None:
    given = predictions()
    names = blind.names(given, SEED)
    orders = [tuple(names[f"{item.id}/{key}"] for key, _ in item.answers) for item in choose(given, TASKS, SEED)]
    assert all(sorted(order) == sorted(given) for order in orders)
    assert len(set(orders)) == 6  # every order of three comes up among thirty items


def test_a_key_stands_for_the_text_it_was_given_for() -> None:
    assert blind.key(1, "code-1", "2b", "x") == blind.key(1, "code-1", "2b", "x")
    others = [("code-2", "2b", "x"), ("code-1", "2c", "x"), ("code-1", "2b", "y")]
    assert blind.key(1, "code-1", "2b", "x") not in [blind.key(1, *other) for other in others]
    assert blind.key(1, "code-1", "2b", "x") != blind.key(2, "code-1", "2b", "x")


PAIRS = [("base", "2b"), ("2b", "2c"), ("base", "2c")]


def test_pairs_show_each_two_models_blindly_and_what_a_judge_saw_first() -> None:
    given = predictions()
    items = choose_pairs(given, PAIRS, TASKS, SEED, judged={f"code-{n}" for n in (3, 5, 7)})
    assert len(items) == 30
    assert items == choose_pairs(given, PAIRS, TASKS, SEED, judged={f"code-{n}" for n in (3, 5, 7)})
    names = blind.names(given, SEED)
    models = [tuple(names[f"{item.id}/{key}"] for key, _ in item.answers) for item in items]
    assert {frozenset(pair) for pair in models} == {frozenset(pair) for pair in PAIRS}
    assert len(set(models)) == 6  # either of two may come first
    assert {f"code-{n}" for n in (3, 5, 7)} <= {item.id for item in items}
    assert not any(item.id.endswith("-0") for item in items)  # answered alike


def test_checks_are_among_the_items_and_say_what_to_do() -> None:
    given = predictions()
    items = mix_checks(choose(given, TASKS, SEED), choose_pairs(given, PAIRS, TASKS, SEED), SEED)
    assert [item.pair for item in items] == sorted(item.pair for item in items)
    assert len(items) == 64
    for check in attention.list_checks(SEED):
        (item,) = (item for item in items if item.id == check.id)
        texts = dict(item.answers)
        assert texts[check.key] == check.text
        assert len(texts) == (2 if item.pair else 3)
        assert check.scores is None or all(str(score) in check.text for score in check.scores)
    assert mix_checks([], [], SEED) == []


def test_hostile_texts_stay_in_their_element() -> None:
    text = render(choose(predictions(hostile=True), TASKS, SEED))
    data = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)
    assert data is not None
    items = json.loads(data[1])
    assert len(items) == 30
    assert "<script>window.pwned" in items[0]["answers"][0]["text"]
    assert text.count("</script>") == 2
