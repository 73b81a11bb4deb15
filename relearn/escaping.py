"""Text that a model or a stranger wrote, put into Markdown and CSV so that it is shown and does nothing.

HTML is the templates' affair (autoescape). Here are the places a template language does not know: a sentence and a
cell of Markdown (https://spec.commonmark.org, https://github.github.com/gfm), a block of code, a quotation, and a
cell of a spreadsheet.
"""

from __future__ import annotations

import re

# C0 and C1 controls but tab, newline; bidi marks, embeddings, overrides, isolates; lone surrogates; line separators.
ACTIVE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", "://": ":&#47;&#47;"}
_MEANT = re.compile(r"([\\`*_\[\]|~$])|(&|<|>|@|://|www\.)", re.IGNORECASE)
_OPENS = re.compile(r"^([0-9]*)([#+=.)-])")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def shown(text: str) -> str:
    """The text with every active character replaced by its code point, as ⟨U+202E⟩.

    Bidirectional controls reorder the text around them (Unicode UAX #9), control characters move a terminal, and
    UTF-8 cannot hold lone surrogates.
    """
    return ACTIVE.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text.replace("\r\n", "\n").replace("\r", "\n"))


def inline(text: str) -> str:
    """The text as part of a line of Markdown, a table's cell too: no markup, no HTML, no link, no second line."""
    flat = " ".join(shown(text).split())
    return _MEANT.sub(
        lambda match: f"\\{match[1]}" if match[1] else _ENTITIES.get(match[2], f"{match[2][:3]}&#46;"), flat
    )


def quoted(text: str) -> str:
    """The text as a quotation, line by line; no line leaves it, or begins a heading or a list in it."""
    lines = (_OPENS.sub(r"\1\\\2", inline(line)) for line in shown(text).split("\n"))
    return "\n".join(f"> {line}".rstrip() for line in lines)


def fenced(text: str) -> str:
    """The text as a block of code, its fence longer than any that the text holds."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{shown(text)}\n{fence}"


def cell(text: str) -> str:
    """The text as a CSV cell that no spreadsheet takes for a formula (https://owasp.org/www-community/attacks/CSV_Injection)."""
    return f"'{text}" if text.startswith(_FORMULA) else text
