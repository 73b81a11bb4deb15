"""Loops, echo, diversity, similarity."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relearn.evaluation import repetition as rep


def test_repeated_share_by_hand() -> None:
    assert rep.repeated_share("a b c d e f", 2) == 0
    # "a b" comes back once: two of six words.
    assert rep.repeated_share("a b c d a b", 2) == pytest.approx(2 / 6)
    assert rep.repeated_share("a b", 4) == 0


def test_distinct_is_lis() -> None:
    assert rep.distinct("a a b", 1) == pytest.approx(2 / 3)
    assert rep.distinct("a a a", 2) == pytest.approx(1 / 2)
    assert rep.distinct("a", 2) is None


@pytest.mark.parametrize(
    "text", ["I agree. " * 30, "!" * 80, "haha" * 30, "the cat sat on the mat and " * 6, "no\n" * 20]
)
def test_loops(text: str) -> None:
    assert rep.loops(text, 4, 0.5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A short answer.",
        "The sea, the sea, and the wind that blows. I walk along the shore.",
        "def f(x):\n        return x + 1",
    ],
)
def test_no_loops(text: str) -> None:
    assert not rep.loops(text, 4, 0.5)


def test_echo() -> None:
    prompt = "Write a short poem about the sea and the winter."
    assert rep.echo_share(prompt, prompt) == 1
    assert rep.echo_share(prompt, "Grey waves, white frost, and a long night by the fire.") == 0
    assert rep.echo_share("Hi", "Hi there, this is a long answer") == 0


@given(st.text(max_size=60), st.text(max_size=60))
def test_similarity_is_a_similarity(first: str, second: str) -> None:
    value = rep.similarity(first, second)
    assert 0 <= value <= 1
    assert value == rep.similarity(second, first)
    assert rep.similarity(first, first) == 1


def test_shape() -> None:
    found = rep.measure_repetition("a", "one two three", 4, 0.5)
    assert (found.characters, found.words, found.loop, found.distinct_1) == (13, 3, False, 1.0)
