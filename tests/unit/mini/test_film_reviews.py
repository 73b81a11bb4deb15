"""The invented reviews: balanced, distinct, short, and each with one stance."""

import random
import re

from relearn.mini.film_reviews import ASPECTS, BLAME, PRAISE, write, write_many


def test_reviews_are_distinct_balanced_and_short() -> None:
    reviews = write_many(random.Random(3), 400)
    assert len({text for text, _ in reviews}) == 400
    assert sum(label == "positive" for _, label in reviews) == 200
    for text, _ in reviews:
        assert 25 <= len(text.split()) <= 90
        assert 3 <= len(re.findall(r"[.!?](?:\s|$)", text)) <= 4
        assert "{" not in text


def test_the_same_seed_writes_the_same_reviews() -> None:
    assert write_many(random.Random(5), 20) == write_many(random.Random(5), 20)
    assert write_many(random.Random(5), 20) != write_many(random.Random(6), 20)


def test_the_first_judgement_follows_the_label() -> None:
    rng = random.Random(1)
    for _ in range(200):
        for label, own in (("positive", PRAISE), ("negative", BLAME)):
            words = re.findall(r"[a-z]+", write(rng, label))
            first = next(word for word in words if word in (*PRAISE, *BLAME))
            assert first in own


def test_every_review_names_aspects() -> None:
    rng = random.Random(2)
    for _ in range(50):
        words = re.findall(r"[a-z]+", write(rng, "positive"))
        assert len({word for word in words if word in ASPECTS}) >= 2
