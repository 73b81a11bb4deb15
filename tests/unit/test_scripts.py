"""Words of any script: those of rouge-score in plain English, characters where no spaces are written."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.tokenize import tokenize

from relearn.scripts import MARKS_AND_WORDS, choose_tokenizer, may_join, split_words


@given(st.text(st.characters(max_codepoint=127)))
def test_plain_english_is_split_as_rouge_score_does(text: str) -> None:
    words = tokenize(text, None)
    if words:
        assert split_words(text) == words
    assert MARKS_AND_WORDS.findall(text) == re.findall(r"\w+|[^\w\s]", text)


def test_typographic_marks_split_as_before() -> None:
    for text in ("“Don’t” — he said… ‘no’", "5 × 3 = 15, x² and ½", "price: 5 €"):
        assert split_words(text) == tokenize(text, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("今天天气好。", ["今", "天", "天", "气", "好"]),
        ("用Python写的list", ["用", "python", "写", "的", "list"]),
        ("ラーメンを2杯", ["ラ", "ー", "メ", "ン", "を", "2", "杯"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("오늘 날씨가 좋아요!", ["오늘", "날씨가", "좋아요"]),
        ("Очень хорошо.", ["очень", "хорошо"]),
        ("हिन्दी में।", ["हिन्दी", "में"]),
        ("مرحبا، كيف الحال؟", ["مرحبا", "كيف", "الحال"]),
        ("می‌خواهم", ["میخواهم"]),
        ("Cafe\u0301 und Straße", ["café", "und", "straße"]),
        ("snake_case", ["snake", "case"]),
        ("😀 😀👍🏽", ["😀", "😀", "👍🏽"]),
        ("", []),
    ],
)
def test_words_of_other_scripts(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("text", "tokenizer"),
    [
        ("The cat sat.", "13a"),
        ("Été à Paris.", "13a"),
        ("Очень хорошо.", "13a"),
        ("42", "13a"),
        ("今天天气好。", "zh"),
        ("用 Python 写一个 list 排序函数", "zh"),
        ("In Beijing (北京) the cat sat on the mat and slept.", "13a"),
        ("今日は天気がいいですね。", "char"),
        ("สวัสดีครับ", "char"),
        ("हिन्दी में।", "intl"),
        ("오늘 날씨가 좋아요", "intl"),
        ("مرحبا، كيف الحال؟", "intl"),
    ],
)
def test_the_tokenizer_fits_the_reference(text: str, tokenizer: str) -> None:
    assert choose_tokenizer(text) == tokenizer


def test_characters_that_make_one_word() -> None:
    assert all(map(may_join, "aé9_я한ह"))
    assert not any(map(may_join, " .中かท。-"))
