"""The verbatim rule: escapes undone as the standard library undoes them, offsets that lead back."""

from __future__ import annotations

import ast
import json

from hypothesis import given
from hypothesis import strategies as st

from relearn.repair.json import verbatim
from relearn.repair.json.verbatim import CSV, JSON, LOOSE, PLAIN, PYTHON

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(TEXT, st.booleans())
def test_json_escapes(text: str, ascii_only: bool) -> None:
    inside = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
    assert verbatim.unescape(inside, JSON) == text
    assert verbatim.is_slice(f"x{inside}y", text, 1, len(inside) + 1, (JSON,))


@given(TEXT)
def test_python_escapes(text: str) -> None:
    inside = repr(text)[1:-1]
    assert ast.literal_eval(repr(text)) == verbatim.unescape(inside, PYTHON) == text
    assert verbatim.unescape(inside, LOOSE) == text


@given(TEXT)
def test_encoded_twice_and_csv(text: str) -> None:
    twice = json.dumps(json.dumps(text)[1:-1])[1:-1]
    assert verbatim.decode(twice, (JSON, JSON)) == text
    assert verbatim.unescape(text.replace('"', '""'), CSV) == text
    assert verbatim.unescape(text, PLAIN) == text


@given(st.text(alphabet="ab\\\"'nux0 1é😀", max_size=40), st.sampled_from([JSON, PYTHON, LOOSE, CSV, PLAIN]))
def test_offsets_lead_back_to_what_was_undone(text: str, dialect: str) -> None:
    plain, offsets = verbatim.unescape_mapped(text, dialect, 7)
    assert plain == verbatim.unescape(text, dialect)
    assert len(offsets) == len(plain) + 1
    assert list(offsets) == sorted(offsets)
    assert offsets[-1] == len(text) + 7
    for at, char in enumerate(plain):
        piece = text[offsets[at] - 7 : offsets[at + 1] - 7]
        assert char == piece or char in verbatim.unescape(piece, dialect) or piece == ""


def test_an_escape_nobody_knows_stands_for_itself() -> None:
    assert verbatim.unescape(r"\d+ it\'s \u12 C:\Games", JSON) == r"\d+ it's \u12 C:\Games"
    assert verbatim.has_invalid_escape(r"a\d")
    assert not verbatim.has_invalid_escape(r"a\\d \n \u00e9")


def test_a_changed_character_does_not_hold() -> None:
    raw = '{"agree": "It is so."}'
    start = raw.index("It")
    assert verbatim.is_slice(raw, "It is so.", start, start + 9, (JSON,))
    assert not verbatim.is_slice(raw, "It is so!", start, start + 9, (JSON,))
    assert not verbatim.is_slice(raw, "It is so.", start, start + 10, (JSON,))
    assert not verbatim.is_slice(raw, "It is so.", -1, 8, (JSON,))
    assert verbatim.find_delimiters(raw, start, start + 9) == (True, True)
    assert verbatim.find_delimiters(raw, start, start + 8) == (True, False)
