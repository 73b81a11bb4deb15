"""The teacher's words: any review gets two replies that keep their stance and speak of what it speaks of."""

import csv
import difflib
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relearn.mini import film_reviews
from relearn.mini.replies import read, write
from relearn.mini.replies_lexicon import ASPECTS, WEIGHTS

DISSENT = re.compile(r"\b(?:not agree|can't agree|wrong|opposite|disagree)\b|another film", re.I)
ASSENT = re.compile(r"(?<!not )(?<!can't )\bagree\b|\bare right\b|\bthe same about\b|just what I think|I'm glad", re.I)


def invented(count: int) -> list[tuple[str, str]]:
    return [(text, label) for text, label in film_reviews.write_many(random.Random(7), count)]


def check(agree: str, disagree: str) -> None:
    for text in (agree, disagree):
        assert 25 <= len(text.split()) <= 50, text
        assert 2 <= len(re.findall(r"[.!?](?:\s|$)", text)) <= 3, text
        assert "{" not in text
    assert ASSENT.search(agree)
    assert not DISSENT.search(agree.split(".")[0])
    assert DISSENT.search(disagree)
    assert not ASSENT.search(disagree.split(".")[0])
    assert difflib.SequenceMatcher(None, agree, disagree).ratio() < 0.85


@pytest.mark.parametrize(
    ("review", "polarity", "aspect"),
    [
        ("The music is wonderful and the cast is great. Go and see it!", "positive", "music"),
        ("A waste of time. The plot was boring and I fell asleep.", "negative", "story"),
        ("It is not a good film. The jokes are never funny.", "negative", "humor"),
        ("Not bad at all, and the finale is really moving.", "positive", "ending"),
        ("I gave it 2/10. You may see why.", "negative", "film"),
        ("<br /><br />Superb acting &amp; a gripping script, superb actors.<br />", "positive", "acting"),
        ("", "positive", "film"),
    ],
)
def test_reading(review: str, polarity: str, aspect: str) -> None:
    reading = read(review)
    assert (reading.polarity, reading.aspect) == (polarity, aspect)


def test_the_quoted_word_stands_in_the_review() -> None:
    for text, _ in invented(100):
        word = read(text).word
        assert re.search(rf"\b{word}\b", text)
        assert f'"{word}"' in write(text, 1)[0]
        assert f'"{word}"' in write(text, 1)[1]


def test_invented_reviews_are_read_right() -> None:
    reviews = invented(400)
    right = sum(read(text).polarity == label for text, label in reviews)
    assert right >= 0.99 * len(reviews)


def test_replies_keep_their_stance_and_name_the_thing() -> None:
    for text, _ in invented(200):
        agree, disagree = write(text, 3)
        check(agree, disagree)
        name = ASPECTS[read(text).aspect].name
        assert name in agree
        assert name in disagree


def test_a_reply_praises_where_it_should() -> None:
    aspect = ASPECTS["music"]
    for seed in range(20):
        loves, hates = "The music is brilliant.", "The music is awful."
        assert aspect.praise in write(loves, seed)[0]
        assert aspect.blame in write(loves, seed)[1]
        assert aspect.blame in write(hates, seed)[0]
        assert aspect.praise in write(hates, seed)[1]


def test_replies_hang_on_review_and_seed_alone() -> None:
    text, _ = invented(1)[0]
    assert write(text, 1) == write(text, 1)
    assert len({write(text, seed) for seed in range(30)}) > 20


def test_replies_are_varied() -> None:
    reviews = invented(1000)
    assert len({reply for text, _ in reviews for reply in write(text, 1)}) > 1800


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=600), st.integers(0, 10**9))
def test_any_text_gets_two_replies(text: str, seed: int) -> None:
    check(*write(text, seed))


def test_a_hostile_text_takes_no_time() -> None:
    for text in ("<" * 200_000, "not " * 50_000, "9/" * 50_000, "a" * 200_000):
        check(*write(text, 1))


def test_no_word_weighs_nothing() -> None:
    assert all(WEIGHTS.values())


def test_real_reviews_are_read_and_answered(shared_data: Path) -> None:
    """Three in four right is what a lexicon without training reaches on such reviews; measured here: 0.85."""
    with open(shared_data / "imdb" / "imdb_1000.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    right = 0
    for row in rows:
        check(*write(row["review"], 1))
        right += read(row["review"]).polarity == row["sentiment"]
    assert right / len(rows) >= 0.8
    assert len({write(row["review"], 1) for row in rows}) > 0.95 * len(rows)
