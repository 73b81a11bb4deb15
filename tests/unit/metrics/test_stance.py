"""The side asked for, and the side taken."""

from __future__ import annotations

import pytest

from relearn.metrics.sides import taken
from relearn.metrics.stance import asked, stance


@pytest.mark.parametrize(
    ("prompt", "side"),
    [
        ("Reply to this review and agree with it.\n\nI disagree with everyone: a great film.", "agree"),
        ("Reply to this review and disagree with it.\n\nWe all agree it is bad.", "disagree"),
        ("A dull film.\n\nWrite a reply that disagrees.", "disagree"),
        ("Say whether you agree or disagree.\n\nA dull film.", None),
        ("What do you think?", None),
    ],
)
def test_asked(prompt: str, side: str | None) -> None:
    assert asked(prompt) == side


@pytest.mark.parametrize(
    ("reply", "side"),
    [
        ("I agree with you, the songs are lovely.", "agree"),
        ("I don’t agree. The songs are dull.", "disagree"),
        ("I couldn't agree more!", "agree"),
        ("I have to disagree; you agree too easily.", "disagree"),
        ("You are right about the acting.", "agree"),
        ("You're wrong about the acting.", "disagree"),
        ("I see it differently.", "disagree"),
        ("I can't agree with you about the music.", "disagree"),
        ("I'm sorry, but I feel the opposite about the end.", "disagree"),
        ("We must have seen another film.", "disagree"),
        ("That's just what I think about the script.", "agree"),
        ("I'm glad someone said it.", "agree"),
        ("I can't disagree with you about the end.", "agree"),
        ("I do not completely agree with you.", "disagree"),
        ("We must agree to disagree.", "disagree"),
        ("I couldn't disagree more!", "disagree"),
        ("I disagree with those who call it dull.", None),
        ("I disagree with the critics; you are right.", "agree"),
        ("The film is about a dog.", None),
        ("", None),
    ],
)
def test_taken(reply: str, side: str | None) -> None:
    assert taken(reply) == side


def test_scores_and_their_ceiling() -> None:
    prompts = ["Reply and agree.\n\nx", "Reply and disagree.\n\nx", "Reply.\n\nx", "Reply.\n\nx"]
    replies = ["I agree.", "I agree.", "You are right.", "I agree."]
    references = ["The end was good.", "I disagree.", "I agree.", None]
    own, ceiling = stance(replies, prompts, references).scores
    assert list(own.stats[:, 1]) == [1, 1, 1, 0]
    assert own.point == pytest.approx(2 / 3)
    assert ceiling.point == pytest.approx(2 / 3)
    assert own.proportion
