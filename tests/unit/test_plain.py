"""Foreign text in Markdown and CSV: a renderer shows it letter by letter and finds nothing to act on."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from relearn.escaping import ACTIVE, cell, fenced, inline, quoted, shown

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<!-- --><script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "![seen](https://tracker.example/x.png)",
    "a | b |\n| --- | --- |\n| 1 | 2 |",
    "# heading\n\n- list\n1. one\n---\ntitle\n===\n> quote",
    "`` ` ``` ~~~ **bold** _em_ ~~gone~~ $x$",
    "&lt;b&gt; &amp; &#60;",
    "https://evil.example www.evil.example me@evil.example",
    "\\`still\\` \\<b>",
    "\x1b]0;title\x07 \u202egnihton\u202c \ud800 \u2028",
]
MARKS = MarkdownIt("gfm-like", {"linkify": False, "html": True})


def leaves(tokens: list[Token]) -> list[Token]:
    """The tokens with those inside them, in order."""
    return [found for token in tokens for found in [token, *leaves(token.children or [])]]


def words(tokens: list[Token]) -> str:
    """The text that a reader sees; the test fails where there is anything but text."""
    kinds = {token.type for token in tokens}
    assert kinds <= {"text", "text_special"}, kinds
    return "".join(token.content for token in tokens)


foreign = st.text() | st.text(alphabet="<>&[]()|`*_~#-+=.:!\\\"'\n\r\t 1ab/@$") | st.sampled_from(HOSTILE)


@given(foreign)
@example("www.WWW.\x00://")
def test_a_line_of_markdown_shows_the_text_and_nothing_else(text: str) -> None:
    written = inline(text)
    assert "\n" not in written
    [rendered] = MARKS.parseInline(f"it said: {written} end")
    assert words(rendered.children or []) == f"it said: {' '.join(shown(text).split())} end"


@given(foreign)
def test_a_cell_of_a_table_stays_one_cell(text: str) -> None:
    table = f"| a | b |\n| --- | --- |\n| {inline(text)} | end |\n\nafter"
    tokens = MARKS.parse(table)
    cells = [tokens[number + 1].children or [] for number, token in enumerate(tokens) if token.type == "td_open"]
    assert [words(found) for found in cells] == [" ".join(shown(text).split()), "end"]
    assert tokens[-2].content == "after"


@given(foreign)
def test_a_quotation_holds_lines_of_text(text: str) -> None:
    tokens = MARKS.parse(f"before\n\n{quoted(text)}\n\nafter")
    kinds = {token.type for token in leaves(tokens)}
    assert kinds <= {
        "paragraph_open", "paragraph_close", "blockquote_open", "blockquote_close", "inline", "text", "text_special", "softbreak",
    }, kinds  # fmt: skip
    assert (tokens[1].content, tokens[-2].content) == ("before", "after")


@given(foreign)
def test_a_block_of_code_ends_where_it_should(text: str) -> None:
    tokens = MARKS.parse(f"before\n\n{fenced(text)}\n\nafter")
    assert [token.type for token in tokens[3:-3]] == ["fence"]
    assert tokens[3].content == f"{shown(text)}\n"
    assert tokens[-2].content == "after"


@given(foreign)
def test_nothing_written_is_active_or_beyond_utf8(text: str) -> None:
    for written in (inline(text), quoted(text), fenced(text)):
        assert not ACTIVE.search(written)
        written.encode()


@given(foreign)
def test_no_renderer_finds_a_link(text: str) -> None:
    # GitHub links bare addresses, www. and e-mail addresses (GFM, extended autolinks)
    assert not re.search(r"://|www\.|@", inline(text), re.IGNORECASE)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x","y")'])
def test_a_cell_is_no_formula(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "2b", "a=b", "'=1", "bleu"])
def test_other_cells_are_left_alone(text: str) -> None:
    assert cell(text) == text
