"""What is marked is what scoring counted, and no character acts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relearn.escaping import ACTIVE, shown
from relearn.evaluation.repetition import echo_share, repeated_share, words
from relearn.report.marks import mark_pieces

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", ",", "."]), max_size=40).map(" ".join)


def marked_words(found: list[str]) -> int:
    return sum(len(words(text)) for text in found)


@given(WORDS)
def test_repeats_cover_the_share_that_scoring_counts(text: str) -> None:
    found = mark_pieces("", text, 4)
    assert "".join(piece.text for piece in found) == text
    share = repeated_share(text, 4)
    assert marked_words([p.text for p in found if p.kind == "repeat"]) == round(share * len(words(text)))


@given(WORDS, WORDS)
def test_copies_cover_the_share_that_scoring_counts(prompt: str, text: str) -> None:
    found = mark_pieces(prompt, text, 100)
    share = echo_share(prompt, text)
    assert marked_words([p.text for p in found if p.kind == "copy"]) == round(share * len(words(text)))


@given(st.text(max_size=60))
def test_nothing_active_is_left_and_utf8_holds_the_rest(text: str) -> None:
    for piece in mark_pieces("a prompt of four words", text, 4):
        assert not ACTIVE.search(piece.text)
        piece.text.encode()


def test_active_characters_show_their_code_points() -> None:
    assert shown("a\u202eb\x00\r\nc\td") == "a⟨U+202E⟩b⟨U+0000⟩\nc\td"
