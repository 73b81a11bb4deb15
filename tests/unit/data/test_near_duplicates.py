"""Near-duplicate search."""

from __future__ import annotations

import random

import pytest

from relearn.data.near_duplicates import Index, grams, jaccard

WORDS = [f"word{number}" for number in range(2000)]


def test_jaccard_of_known_sets() -> None:
    assert jaccard(grams("a b c d"), grams("a b c d")) == 1.0
    assert jaccard(grams("a b c d"), grams("A, b! c e")) == pytest.approx(1 / 3)
    assert jaccard(grams("a b c"), grams("x y z")) == 0.0


def test_case_and_punctuation_do_not_count() -> None:
    assert grams("The film, again.") == grams("the film again")


def test_finds_what_brute_force_finds() -> None:
    rng = random.Random(7)
    texts = [" ".join(rng.choices(WORDS, k=60)) for _ in range(150)]
    for base in texts[:60]:
        words = base.split()
        for place in rng.sample(range(60), rng.choice((1, 2, 3, 8))):
            words[place] = "changed"
        texts.append(" ".join(words))
    index = Index(0.7, 128)
    found, expected = set(), set()
    for number, text in enumerate(texts):
        found |= {(int(label), number) for label in index.near(text)}
        expected |= {(other, number) for other in range(number) if jaccard(grams(texts[other]), grams(text)) >= 0.7}
        index.add(str(number), text)
    assert found <= expected
    assert len(found) >= 0.97 * len(expected) > 20


def test_labels_may_repeat_and_empty_texts_are_near_each_other() -> None:
    index = Index(0.8, 64)
    index.add("train", "one two three four")
    index.add("train", "one two three four")
    assert index.near("one two three four") == ["train"]
    assert index.near("") == []
    index.add("blank", "...")
    assert index.near("!?") == ["blank"]
