"""Shared n-grams against their definition: each n-gram as often as it is in both texts."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relearn.metrics import ngrams
from relearn.metrics.ngrams import count_all, count_shared

ORDERS = 6
# Some kinds of symbols, so that long n-grams are shared; and thousands, of which no six fit into one number.
few = st.text("ab\ud800", max_size=12)
many = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), max_size=12)


def count_by_hand(text: str, order: int) -> Counter[str]:
    return Counter(text[at : at + order] for at in range(len(text) - order + 1))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(few | many, few | many), min_size=1, max_size=6), st.sampled_from([1, 9, 200_000]))
def test_shared_ngrams_by_the_definition(pairs: list[tuple[str, str]], block: int) -> None:
    texts, references = map(list, zip(*pairs, strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngrams, "BLOCK", block)
        shared = count_shared(texts, references, ORDERS)
    for row, (text, reference) in enumerate(pairs):
        for order in range(1, ORDERS + 1):
            own, theirs = count_by_hand(text, order), count_by_hand(reference, order)
            assert shared[row, order - 1] == (own & theirs).total()
            assert count_all(texts, ORDERS)[row, order - 1] == own.total()


def test_more_kinds_of_symbols_than_a_number_holds() -> None:
    letters = "".join(map(chr, range(0x4E00, 0x4E00 + 5000)))
    shared = count_shared([letters, letters], [letters[1000:] + letters[:1000], letters[::-1]], ORDERS)
    # Of 5,001 - n n-grams the n - 1 across the seam are not shared; backwards none but the letters are.
    assert shared.tolist() == [[5000 - 2 * order for order in range(ORDERS)], [5000, 0, 0, 0, 0, 0]]


def test_words_are_symbols_too() -> None:
    # Papineni et al. 2002, section 2.1: "the" seven times is clipped to the two of the reference.
    shared = count_shared([["the"] * 7], [["the", "cat", "is", "on", "the", "mat"]], 2)
    assert np.array_equal(shared, [[2, 0]])
    assert count_shared([], [], 2).shape == (0, 2)
    assert not count_shared([[]], [["a"]], 2).any()
