"""The words of a text in any script, and what the script says of how it is written.

Scripts that write no spaces between words (Han, kana, Thai, Lao, Khmer, Burmese …) are read a character at a time, marks
with their letter, as ROUGE and BLEU for Chinese are
(https://github.com/mjpost/sacrebleu, tokenizer zh). Categories and scripts are those of Unicode.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import Literal

import regex

_SPACELESS = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Yi}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tai_Le}\p{New_Tai_Lue}"
    r"\p{Tai_Tham}\p{Tai_Viet}ー"
)
# Joiners of Persian and of Indic scripts occur inside a word.
_ONE = rf"(?=[\p{{L}}\p{{N}}])[{_SPACELESS}]\p{{M}}*"
_WORD = rf"(?:(?![{_SPACELESS}])[\p{{L}}\p{{Nd}}][\p{{M}}\u200c\u200d]*)+"
_WORDS = regex.compile(f"{_ONE}|{_WORD}")
_SYMBOLS = regex.compile(r"\X")
# As `\w+|[^\w\s]` of `re` in the scripts that write spaces.
MARKS_AND_WORDS = regex.compile(rf"{_ONE}|(?:(?![{_SPACELESS}])[\w\p{{M}}\u200c\u200d])+|[^\w\s\x1c-\x1f]")
_JOINED = regex.compile(rf"(?![{_SPACELESS}])[\w\p{{M}}]")
_KANA_OR_THAI = regex.compile(rf"(?![\p{{Han}}])[{_SPACELESS}]")
_HAN = regex.compile(r"\p{Han}")
_FAMILIAR = regex.compile(r"[\p{Latin}\p{Cyrillic}\p{Greek}]")
_LETTER = regex.compile(r"\p{L}")

Tokenizer = Literal["13a", "zh", "char", "intl"]


def split_words(text: str) -> list[str]:
    """The words in lower case, letters and digits alone: `[a-z0-9]+` in plain English.

    A text without a letter or digit (emoji, say) is its symbols instead.
    """
    lower = unicodedata.normalize("NFC", text).lower()
    words = [word.replace("\u200c", "").replace("\u200d", "") for word in _WORDS.findall(lower)]
    return words or [symbol for symbol in _SYMBOLS.findall(lower) if not symbol.isspace()]


def may_join(character: str) -> bool:
    """Whether a character makes one word with those beside it: no punctuation, no space, no script without spaces."""
    return _JOINED.match(character) is not None


@functools.lru_cache(maxsize=20_000)
def choose_tokenizer(reference: str) -> Tokenizer:
    """sacrebleu's tokenizer that fits a text, of those that need no further data.

    13a where words have spaces and punctuation is that of Latin, Cyrillic or Greek; intl with any other punctuation; zh
    where a fifth of the words or more are Chinese; char where half are of another script without spaces.
    """
    words = _WORDS.findall(reference)
    han = sum(_HAN.match(word) is not None for word in words)
    other = sum(_KANA_OR_THAI.match(word) is not None for word in words)
    if other and 2 * (han + other) >= len(words):
        return "char"
    if han and 5 * han >= len(words):
        return "zh"
    letters = _LETTER.findall(reference)
    return "13a" if 2 * sum(map(bool, map(_FAMILIAR.match, letters))) >= len(letters) else "intl"


def has_latin_letters(text: str) -> bool:
    """Whether most of the letters are Latin; True for a text without letters."""
    letters = _LETTER.findall(text)
    return 2 * len(regex.findall(r"\p{Latin}", text)) >= len(letters)
