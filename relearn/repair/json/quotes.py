"""Quotes inside a text: which of them could close it, whether they pair up, and what a close is followed by."""

from __future__ import annotations

import re
from functools import lru_cache

from relearn.repair.json import locate

MAX_PAIRS = 2000
APOSTROPHES = "'‘’‚`"
CLOSERS = {
    '"': '"', "'": "'", "`": "`'", '"""': '"""', "'''": "'''", "«": "»",
    **dict.fromkeys("“”„‟″", "”“„‟″"), **dict.fromkeys("‘’‚", "’‘‚"),
}  # fmt: skip
OPENS = "([{<=,:+-–—/\\>*_#~|&%$@^“‘«`"
ESCAPE = re.compile(r"\\.", re.DOTALL)
ESCAPED_QUOTE = {quote: re.compile(rf"(?<!\\)(?:\\\\)*+\\{re.escape(quote)}") for quote in "\"'`“”„‟″‘’‚»«"}


def escaped(text: str, at: int, floor: int) -> bool:
    """Whether an odd number of backslashes stands before `at`."""
    chunk = text[max(floor, at - 64) : at]
    return (len(chunk) - len(chunk.rstrip("\\"))) % 2 == 1


def last(text: str, closers: str, floor: int, before: int) -> int:
    """The last bare closing quote in [floor, before), or -1."""
    at = before
    while True:
        if len(closers) == 3 and closers[0] == closers[1]:
            at = text.rfind(closers, floor, at)
        else:
            at = max(text.rfind(char, floor, at) for char in closers)
        if at < 0 or not escaped(text, at, floor):
            return at


def bare_quotes(value: str, closers: str) -> list[int]:
    """Offsets of the quotes inside a value that could have closed it; apostrophes inside a word do not count."""
    plain = ESCAPE.sub("  ", value) if "\\" in value else value
    found = (
        [at for at, char in enumerate(plain) if char in closers] if any(c in plain for c in closers) else []
    )
    if closers[0] in APOSTROPHES:
        found = [
            at
            for at in found
            if not (0 < at < len(plain) - 1 and plain[at - 1].isalnum() and plain[at + 1].isalnum())
        ]
    return found


def quotes_pair_up(value: str, closers: str) -> bool:
    """Whether the number of quotes inside a value that could have closed it is even."""
    if closers[0] in APOSTROPHES:
        return len(bare_quotes(value, closers)) % 2 == 0
    plain = ESCAPE.sub("", value) if "\\" in value else value
    return sum(plain.count(closer) for closer in set(closers)) % 2 == 0


def pairs(value: str, at: list[int]) -> bool:
    """Whether quotes come in pairs, each opening before what it quotes and closing after it."""
    if len(at) % 2 or len(at) > MAX_PAIRS:
        return False
    for turn, place in enumerate(at):
        before = value[place - 1] if place else " "
        after = value[place + 1] if place + 1 < len(value) else " "
        opens = (before.isspace() or before in OPENS) and not after.isspace()
        closes = not before.isspace() and before not in OPENS and (after.isspace() or after in ".,;:!?)]}<")
        if (turn % 2 == 0 and closes) or (turn % 2 == 1 and opens):
            return False
    return True


@lru_cache(maxsize=16)
def _member(closers: str) -> re.Pattern[str]:
    close = f"[{re.escape(''.join(sorted(set(closers))))}]"
    return re.compile(rf"{close}[\w][\w \-.]{{0,47}}{close}\s*+:")


def member_inside(value: str, closers: str) -> bool:
    """Whether a bare `"key":` stands in the value outside braces: then two members may have run together."""
    if ":" not in value or not any(closer in value for closer in closers):
        return False
    for turn, match in enumerate(_member(closers).finditer(value)):
        if turn == 50:
            break
        if not escaped(value, match.start(), 0) and open_braces(value[: match.start()]) <= 0:
            return True
    return False


def open_braces(value: str) -> int:
    """Braces opened in the value less those closed."""
    return value.count("{") - value.count("}")


def _close(closers: str) -> str:
    """A pattern for one closing quote."""
    return re.escape(closers) if len(closers) == 3 and closers[0] == closers[1] else f"[{re.escape(closers)}]"


@lru_cache(maxsize=16)
def extra_key(closers: str) -> re.Pattern[str]:
    """A closing quote, and then a key nobody asked for: in its group 1 (double quotes), 2 (single) or 3 (bare)."""
    gap = rf"(?:\s|,|{locate.COMMENT})*+"
    return re.compile(
        rf"{_close(closers)}{gap}(?:[\"“”„]([\w][\w \-.]{{0,47}})[\"“”„]|'([\w][\w \-.]{{0,47}})'|(\w{{1,40}}))\s*+:(?!/)"
    )


@lru_cache(maxsize=16)
def brace_after(closers: str) -> re.Pattern[str]:
    """A closing quote, and then the closing brace of its object."""
    return re.compile(rf"{_close(closers)}(?:[\s,;]|{locate.COMMENT})*+[\]\s]*+\}}[\s}}\]]*+")


@lru_cache(maxsize=16)
def object_boundary(closers: str) -> re.Pattern[str]:
    """A closing quote, the end of its object, and the `brace` and first key of another."""
    return re.compile(
        rf"{_close(closers)}[\s,;]*+\}}[\s,;\]}}]*+(?:```\w*+\s*+)*+\[?\s*+(?P<brace>\{{)\s*+[\"'“]?[^\W\d][\w \-]{{0,40}}[\"'”]?\s*+:"
    )


@lru_cache(maxsize=16)
def object_close(closers: str) -> re.Pattern[str]:
    """A closing quote and one closing brace."""
    return re.compile(rf"{_close(closers)}(?:[\s,;]|{locate.COMMENT})*+\}}")


@lru_cache(maxsize=16)
def cut_key(closers: str) -> re.Pattern[str]:
    """A closing quote, a comma, and a key (its beginning in group 1) in which the text ends."""
    return re.compile(
        rf"(?<!\\){_close(closers)}\s*,\s*[\"'“]([^\W\d][\w \-]{{0,47}})[\"'”]?\s*(?:```\s*)?\Z"
    )


@lru_cache(maxsize=16)
def line_end_after(closers: str) -> re.Pattern[str]:
    """A closing quote at the end of a line."""
    return re.compile(rf"{_close(closers)}[ \t,]*+\r?\n")
