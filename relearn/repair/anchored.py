"""The schema-anchored reading: the keys are known, so what stands between two of them is a value.

The text between `"agree": "` and `", "disagree"` is the value however many bare quotes it holds. Where no known
key follows, the end of a value must be told from a quote inside it: by what follows it, by whether the quotes
before it pair up, and by whether braces that were opened in the text are closed. What stays in doubt is refused.
"""

from __future__ import annotations

import re
from functools import lru_cache

from relearn.repair import locate
from relearn.repair.locate import Anchor
from relearn.repair.schema import Shape
from relearn.repair.shape import TEXT_KEYS
from relearn.repair.tree import NUMBER, Draft, Part, number
from relearn.repair.verbatim import JSON, LOOSE, decode, has_invalid_escape

BACKWARD = 64
EXTRA_KEYS = 32
MAX_PAIRS = 2000
EXTRA_CHARS = 20_000
APOSTROPHES = "'‘’‚`"
CLOSERS = {
    '"': '"', "'": "'", "`": "`'", '"""': '"""', "'''": "'''", "«": "»",
    **dict.fromkeys("“”„‟″", "”“„‟″"), **dict.fromkeys("‘’‚", "’‘‚"),
}  # fmt: skip
ENDS_SENTENCE = ".!?…)]}\"”’'"
OPENS = "([{<=,:+-–—/\\>*_#~|&%$@^“‘«`"
STRING_PREFIX = re.compile(r"(?:^|[\s(=,\[{:+])[fFrRbBuU]{1,2}$")
TRAILING_SPACE = re.compile(r"(?:\s|(?<!\\)(?:\\\\)*\\[ntr])$")
ESCAPE = re.compile(r"\\.", re.DOTALL)
CONTROL = re.compile(r"[\x00-\x1f]")
BOOLEAN = re.compile(r"\s*+[\"']?(true|false)\b[\"']?(?=\s*[,}\]\n])", re.IGNORECASE)
QUOTED_NUMBER = re.compile(r"\s*+([\"']?)")
SCALAR = re.compile(
    r"[+-]?(?:\d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)?|Infinity|NaN)(?![\w.])|"
    r"(?:true|false|null|none|undefined|nan|inf)(?!\w)",
    re.IGNORECASE,
)
QUOTED = {
    '"': re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL),
    "'": re.compile(r"'(?:[^'\\]++|\\.)*+'", re.DOTALL),
    "“": re.compile(r"[“”„‟″](?:[^“”„‟″\\]++|\\.)*+[“”„‟″]", re.DOTALL),
}
QUOTED.update(dict.fromkeys("”„‟″", QUOTED["“"]))
BRACKETED = re.compile(r"[{}\[\]()]|\"(?:[^\"\\]++|\\.)*+\"|'(?:[^'\\]++|\\.)*+'", re.DOTALL)
CUT_AT = re.compile(r"\n\s*```|\n\s*~~~|\n[ \t]*\n|```\s*$")


@lru_cache(maxsize=16)
def _extra_key(closers: str) -> re.Pattern[str]:
    close = f"[{re.escape(closers)}]" if len(set(closers)) > 1 or len(closers) == 1 else re.escape(closers)
    gap = rf"(?:\s|,|{locate.COMMENT})*+"
    return re.compile(
        rf"{close}{gap}(?:[\"“”„]([\w][\w \-.]{{0,47}})[\"“”„]|'([\w][\w \-.]{{0,47}})'|(\w{{1,40}}))\s*+:(?!/)"
    )


NEXT_KEY = re.compile(
    rf"(?:\s|,|{locate.COMMENT})*+(?:[\"“”„]([\w][\w \-.]{{0,47}})[\"“”„]|'([\w][\w \-.]{{0,47}})'|([A-Za-z_]\w{{0,40}}))\s*+:"
)


def _escaped(text: str, at: int, floor: int) -> bool:
    chunk = text[max(floor, at - 64) : at]
    return (len(chunk) - len(chunk.rstrip("\\"))) % 2 == 1


def _last(text: str, closers: str, floor: int, before: int) -> int:
    """The last bare closing quote in [floor, before), or -1."""
    at = before
    while True:
        if len(closers) == 3 and closers[0] == closers[1]:
            at = text.rfind(closers, floor, at)
        else:
            at = max(text.rfind(char, floor, at) for char in closers)
        if at < 0 or not _escaped(text, at, floor):
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


def _pairs(value: str, at: list[int]) -> bool:
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
        if not _escaped(value, match.start(), 0) and _open_braces(value[: match.start()]) <= 0:
            return True
    return False


def _open_braces(value: str) -> int:
    return value.count("{") - value.count("}")


class Reader:
    """Reads the fields of one text. `length` says that the server stopped the reply at its token limit."""

    def __init__(self, text: str, shape: Shape, length: bool = False) -> None:
        self.text = text
        self.shape = shape
        self.length = length

    def read_object(self, found: list[Anchor], index: int, start: int) -> tuple[Draft, int]:
        """Reads fields from `found[index]` until the object ends or a field comes again: (record, next index)."""
        text = self.text
        draft = Draft(start, start)
        while True:
            anchor = found[index]
            following = found[index + 1] if index + 1 < len(found) else None
            stop = len(text) if following is None else following.start
            part, same = self._field(anchor, following, stop)
            if anchor.flag:
                part.flags = (*part.flags, anchor.flag)
            draft.parts[anchor.name] = part
            draft.end = part.end if part.lost else part.end + 1
            index += 1
            if following is None or not same or following.name in draft.parts:
                break
        if not part.lost:
            draft.end = self._object_end(draft.end, len(text) if following is None else following.start)
        return draft, index

    def _object_end(self, at: int, stop: int) -> int:
        """The offset after the brace that closes an object, past keys nobody asked for; `at` where there is none."""
        text = self.text
        end = at
        for _ in range(EXTRA_KEYS):
            closing = locate.OBJECT_END.match(text, end, stop)
            if closing is not None:
                return closing.end()
            key = NEXT_KEY.match(text, end, stop)
            after = skip_value(text, key.end(), stop) if key is not None else None
            if after is None:
                break
            end = after
        return end

    def _field(self, anchor: Anchor, following: Anchor | None, stop: int) -> tuple[Part, bool]:
        kind = self.shape.fields[anchor.name]
        if kind == "string":
            return self._string(anchor, following, stop)
        if kind == "strings":
            return self._strings(anchor, following, stop)
        return self._scalar(anchor, kind, following, stop)

    # Text -----------------------------------------------------------------------------------------------------

    def _string(self, anchor: Anchor, following: Anchor | None, stop: int) -> tuple[Part, bool]:
        text = self.text
        flags: list[str] = []
        at = anchor.after
        opening = locate.OPENING.match(text, at, stop)
        for _ in range(3):
            if opening is not None:
                break
            nested = locate.NESTED.match(text, at, stop)
            if nested is None:
                break
            if nested.group(2) is not None and nested.group(2).strip().casefold() not in TEXT_KEYS:
                return Part(None, at, stop, (), (), None, "nested_unclear"), False
            flags.append("nested" if nested.group(2) is not None else "list")
            at = nested.end()
            opening = locate.OPENING.match(text, at, stop)
        if opening is None:
            return self._unquoted(anchor, following, stop)
        quote = opening.group(1)
        if len(quote) == 3 and (
            text.startswith(quote[0], opening.end()) or _last(text, quote, opening.end(), stop) < 0
        ):
            quote = quote[0]  # an ordinary quote, and a text that begins with two or three of them
        start = opening.start(1) + len(quote)
        closers = CLOSERS[quote]
        codec = (LOOSE,) if quote[0] == "'" or anchor.quote == "'" else (JSON,)
        if "nested" in flags:
            place, same, more, why = self._close_nested(start, closers, following, stop)
        else:
            place, same, more, why = self._close(anchor, start, closers, following, stop)
        if place < 0:
            end = self._cut_end(start, stop, following)
            return Part(None, start, end, codec, tuple(flags), None, why), False
        raw = text[start:place]
        flags += more
        if quote in "'`‘’‚" or quote == "'''":
            flags.append("single_quotes")
        elif quote not in ('"', '"""'):
            flags.append("typographic_quotes")
        if "\\" in raw and codec == (JSON,) and has_invalid_escape(raw):
            flags.append("invalid_escape")
        if CONTROL.search(raw):
            flags.append("raw_control_character")
        if bare_quotes(raw, closers):
            flags.append("inner_quotes")
        return Part(decode(raw, codec), start, place, codec, tuple(flags)), same

    def _close(
        self, anchor: Anchor, start: int, closers: str, following: Anchor | None, stop: int
    ) -> tuple[int, bool, list[str], str]:
        """Where the value that starts at `start` is closed: (offset or -1, next key is of the same object, flags, why)."""
        text = self.text
        stop = self._object_before(start, closers, following, stop)
        width = 3 if len(closers) == 3 and closers[0] == closers[1] else 1
        extra, suspect = self._before_extra_key(anchor, start, closers, following, stop)
        if extra is not None:
            return extra[0], extra[1], [], ""
        doubtful = False
        candidates: list[
            tuple[int, str | None, bool]
        ] = []  # offset, what closes (None: nothing), next of same object
        gap = locate.CROSSING if following is not None else locate.CLOSING
        at = stop
        for _ in range(BACKWARD):
            at = _last(text, closers, start, at)
            if at < 0:
                break
            after = at + width
            if following is not None and locate.SAME.fullmatch(text, after, stop):
                candidates.append((at, None, True))
            elif gap.fullmatch(text, after, stop):
                between = text[after:stop]
                first = locate.SAME.match(between).end()  # type: ignore[union-attr]
                closed = between[first : first + 1] in ("}", "]", ")")
                candidates.append((at, between if closed else None, False))
        # A comment may hold quotes: the first candidate whose own quotes pair up comes before the last one.
        candidates.reverse()
        for at, closing, same in candidates:
            raw = text[start:at]
            if member_inside(raw, closers):
                doubtful = True
                continue
            if same:
                if len(candidates) > 1 and not quotes_pair_up(raw, closers):
                    doubtful = True
                    continue
                if suspect:
                    return -1, False, [], "ambiguous_end"
                return at, True, [] if "," in text[at + width : stop] else ["comma_missing"], ""
            if not suspect and self._plausible(anchor, raw, closers, closing):
                return at, False, [] if closing is not None else ["closing_brace_missing"], ""
            doubtful = True
        at = self._before_cut_key(anchor, start, closers) if following is None else -1
        if at >= 0 and not suspect:
            return at, False, ["closing_brace_missing"], ""
        at = self._before_prose(anchor, start, closers, stop)
        if at >= 0 and not suspect:
            return at, False, [], ""
        return -1, False, [], "ambiguous_end" if doubtful or suspect else "cut_off"

    def _close_nested(
        self, start: int, closers: str, following: Anchor | None, stop: int
    ) -> tuple[int, bool, list[str], str]:
        """As `_close`, for a value in an object of its own: the brace that closes the object must follow."""
        text = self.text
        for turn, match in enumerate(_object_close(closers).finditer(text, start, stop)):
            if turn == 200:
                break
            raw = text[start : match.start()]
            if (
                _escaped(text, match.start(), start)
                or len(bare_quotes(raw, closers)) % 2
                or _open_braces(raw) > 0
            ):
                continue
            after = match.end()
            if following is None:
                return match.start(), False, [], ""
            if locate.SAME.fullmatch(text, after, stop):
                return match.start(), True, [], ""
            key = NEXT_KEY.match(text, after, stop)
            same = key is not None and self._chain(key.end(), following, stop, set()) is True
            return match.start(), same, [], ""
        return -1, False, [], "cut_off"

    def _object_before(self, start: int, closers: str, following: Anchor | None, stop: int) -> int:
        """Where the object of the following key begins, if it is another object: no value reaches past that."""
        text = self.text
        if following is not None:
            before = stop
            for _ in range(4):
                brace = text.rfind("{", start, before)
                if brace < 0:
                    break
                if self._leads(brace + 1, stop):
                    stop = brace
                    break
                before = brace
        for turn, match in enumerate(_boundary(closers).finditer(text, start, stop)):
            if turn == 50:
                break
            raw = text[start : match.start()]
            if (
                not _escaped(text, match.start(), start)
                and quotes_pair_up(raw, closers)
                and _open_braces(raw) <= 0
            ):
                return match.start("brace")
        return stop

    def _leads(self, at: int, stop: int) -> bool:
        """Whether nothing but whole keys nobody asked for stands between a brace and a known key."""
        for _ in range(EXTRA_KEYS):
            if locate.SAME.fullmatch(self.text, at, stop):
                return True
            key = NEXT_KEY.match(self.text, at, stop)
            end = skip_value(self.text, key.end(), stop) if key is not None else None
            if end is None:
                return False
            at = end
        return False

    def _plausible(self, anchor: Anchor, raw: str, closers: str, closing: str | None) -> bool:
        """Whether a quote that nothing but closing marks (or nothing at all) follows closes the value.

        A reply may have been cut just after a quote inside the text, even after `"}` inside code.
        """
        inner = bare_quotes(raw, closers)
        if closing is not None and not (self.length and closing.count("}") == 0):
            if not inner:
                return True
            if len(inner) % 2 and any(raw[max(0, at - 20) : at].rstrip().endswith(":") for at in inner[:50]):
                return False  # the quote may open the value of another key
            if closing.count("]") and raw.count("[") > raw.count("]"):
                return False
            opened = _open_braces(raw)
            return opened <= 0 or closing.count("}") > opened
        if not raw or TRAILING_SPACE.search(raw):
            return False
        if not inner and self._escapes(anchor, len(raw), closers):
            return not self.length or raw[-1] in ENDS_SENTENCE
        if raw[-1] in OPENS and not raw.endswith("```"):
            return False
        if closers[0] in APOSTROPHES and raw[-1] not in ENDS_SENTENCE:
            return False
        if self.length and raw[-1] not in ENDS_SENTENCE:
            return False
        if inner:
            return _pairs(raw, inner)
        return STRING_PREFIX.search(raw) is None

    def _escapes(self, anchor: Anchor, size: int, closers: str) -> bool:
        """Whether whoever wrote the value escapes the quotes inside it: then a bare one is no part of the text."""
        return _ESCAPED_QUOTE[closers[0]].search(self.text, anchor.after, anchor.after + size + 8) is not None

    def _before_cut_key(self, anchor: Anchor, start: int, closers: str) -> int:
        """The close of a value after which the text ends inside the key of another field, or -1."""
        tail = self.text[max(start, len(self.text) - 120) :]
        match = _cut_key(closers).search(tail)
        if match is None:
            return -1
        begun = match.group(1).strip().casefold()
        others = [name for name in self.shape.fields if name != anchor.name]
        if not any(name.casefold().startswith(begun) for name in others):
            return -1
        at = len(self.text) - len(tail) + match.start()
        return at if self._plausible(anchor, self.text[start:at], closers, None) else -1

    def _before_prose(self, anchor: Anchor, start: int, closers: str, stop: int) -> int:
        """The first quote that a closing brace follows (or the end of a line), and then text of no record."""
        text = self.text
        pattern = _brace_after(closers)
        for turn, match in enumerate(pattern.finditer(text, start, stop)):
            if turn == 200:
                break
            raw = text[start : match.start()]
            inner = bare_quotes(raw, closers)
            if _escaped(text, match.start(), start) or not raw or raw[-1] in "([{=":
                continue
            if _open_braces(raw) > 0 and _open_braces(raw) >= match.group().count("}"):
                continue
            if not inner or _pairs(raw, inner):
                return match.start()
        for turn, match in enumerate(_line_end_after(closers).finditer(text, start, stop)):
            if turn == 200:
                break
            raw = text[start : match.start()]
            if not _escaped(text, match.start(), start) and self._plausible(anchor, raw, closers, None):
                return match.start()
        return -1

    def _before_extra_key(
        self, anchor: Anchor, start: int, closers: str, following: Anchor | None, stop: int
    ) -> tuple[tuple[int, bool] | None, bool]:
        """The close of a value that keys nobody asked for follow; and whether there is a trace of one that fails."""
        text = self.text
        if closers in ('"""', "'''"):
            return None, False
        suspect = False
        failed: set[int] = set()
        for turn, match in enumerate(_extra_key(closers).finditer(text, start, stop)):
            if turn == 50:
                break
            at = match.start()
            if _escaped(text, at, start):
                continue
            if match.group(3) is not None and "," not in text[at : match.start(3)]:
                continue
            raw = text[start:at]
            if not quotes_pair_up(raw, closers) or _open_braces(raw) > 0:
                continue
            chained = self._chain(match.end(), following, stop, failed)
            if chained is not None and (match.group(3) is None or not anchor.quote):
                return (at, chained), suspect
            if chained is not None or match.group(3) is None:
                suspect = True  # a bare word before a colon is a key only where the keys are bare
        return None, suspect

    def _chain(self, at: int, following: Anchor | None, stop: int, failed: set[int]) -> bool | None:
        """Follows the values of unknown keys to the next known key (True: of the same object) or the end."""
        text = self.text
        seen = []
        for _ in range(EXTRA_KEYS):
            if at in failed:
                break
            seen.append(at)
            end = skip_value(text, at, stop)
            if end is None:
                break
            if following is not None and locate.SAME.fullmatch(text, end, stop):
                return True
            gap = locate.CROSSING if following is not None else locate.CLOSING
            if gap.fullmatch(text, end, stop):
                return False
            key = NEXT_KEY.match(text, end, stop)
            if key is None:
                closed = locate.OBJECT_END.match(text, end, stop)
                if closed is not None and '"}' not in text[closed.end() : stop]:
                    return False
                break
            at = key.end()
        failed.update(seen)
        return None

    def _cut_end(self, start: int, stop: int, following: Anchor | None) -> int:
        """Where the text of a value that is never closed ends, as far as can be told."""
        text = self.text
        cut = CUT_AT.search(text, start, stop)
        end = cut.start() if cut else stop
        if following is not None and not cut:
            end -= len(re.search(r"[\s{\[,(]*\Z", text[max(start, stop - 200) : stop]).group())  # type: ignore[union-attr]
        return max(start, end)

    def _unquoted(self, anchor: Anchor, following: Anchor | None, stop: int) -> tuple[Part, bool]:
        return Part(None, anchor.after, stop, (), (), None, "no_quotes"), False

    # Lists, numbers, booleans ---------------------------------------------------------------------------------

    def _strings(self, anchor: Anchor, following: Anchor | None, stop: int) -> tuple[Part, bool]:
        text = self.text
        codec = (LOOSE,) if anchor.quote == "'" else (JSON,)
        opening = re.compile(r"\s*+\[\s*+").match(text, anchor.after, stop)
        if opening is None:
            return Part(None, anchor.after, stop, (), (), None, "wrong_type"), False
        at = opening.end()
        items: list[tuple[int, int]] = []
        while not text.startswith("]", at):
            pattern = QUOTED.get(text[at : at + 1])
            match = pattern.match(text, at, stop) if pattern else None
            if match is None:
                reason = "cut_off" if following is None and at >= len(text.rstrip()) - 1 else "ambiguous_end"
                return Part(None, opening.end(), stop, codec, (), None, reason), False
            items.append((match.start() + 1, match.end() - 1))
            at = re.compile(r"[\s,]*+").match(text, match.end(), stop).end()  # type: ignore[union-attr]
            if at >= stop:
                return Part(None, opening.end(), stop, codec, (), None, "cut_off"), False
        same = following is not None and locate.SAME.fullmatch(text, at + 1, stop) is not None
        values = [decode(text[start:end], codec) for start, end in items]
        start = text.index("[", anchor.after) + 1
        return Part(values, start, at, codec, (), tuple(items)), same

    def _scalar(self, anchor: Anchor, kind: str, following: Anchor | None, stop: int) -> tuple[Part, bool]:
        text = self.text
        flags: tuple[str, ...] = ()
        value: bool | float
        if kind == "boolean":
            match = BOOLEAN.match(text, anchor.after, stop)
            if match is None:
                return Part(None, anchor.after, stop, (), (), None, "wrong_type"), False
            start, end, value = match.start(1), match.end(1), match.group(1).lower() == "true"
            if match.group(1) not in ("true", "false"):
                flags = ("python_literal",)
        else:
            at = QUOTED_NUMBER.match(text, anchor.after, stop)
            assert at is not None
            literal = NUMBER.match(text, at.end(), stop)
            if literal is None:
                return Part(None, anchor.after, stop, (), (), None, "wrong_type"), False
            if literal.end() >= len(text):
                return Part(None, literal.start(), stop, (), (), None, "cut_off"), False
            start, end, value = literal.start(), literal.end(), number(literal.group())
            if at.group(1):
                if not text.startswith(at.group(1), end):
                    return Part(None, anchor.after, stop, (), (), None, "wrong_type"), False
                flags = ("number_in_quotes",)
            elif not re.compile(r"\s*+(?:[,}\]\n/#]|[\"']\s*+\w)").match(text, end):
                return Part(None, anchor.after, stop, (), (), None, "wrong_type"), False
            if kind == "integer" and not float(value).is_integer():
                return Part(None, anchor.after, stop, (), (), None, "wrong_type"), False
        part = Part(value, start, end, (), flags)
        after = end + 1 if text[end : end + 1] in ("'", '"') and text[start - 1] in "'\"" else end
        return part, following is not None and self._same_object(after, following, stop)

    def _same_object(self, after: int, following: Anchor, stop: int) -> bool:
        """Whether only separators, or keys nobody asked for, stand before the next known key."""
        if locate.SAME.fullmatch(self.text, after, stop):
            return True
        key = NEXT_KEY.match(self.text, after, stop)
        return key is not None and self._chain(key.end(), following, stop, set()) is True


@lru_cache(maxsize=16)
def _brace_after(closers: str) -> re.Pattern[str]:
    close = (
        re.escape(closers) if len(closers) == 3 and closers[0] == closers[1] else f"[{re.escape(closers)}]"
    )
    return re.compile(rf"{close}(?:[\s,;]|{locate.COMMENT})*+[\]\s]*+\}}[\s}}\]]*+")


@lru_cache(maxsize=16)
def _boundary(closers: str) -> re.Pattern[str]:
    close = (
        re.escape(closers) if len(closers) == 3 and closers[0] == closers[1] else f"[{re.escape(closers)}]"
    )
    return re.compile(
        rf"{close}[\s,;]*+\}}[\s,;\]}}]*+(?:```\w*+\s*+)*+\[?\s*+(?P<brace>\{{)\s*+[\"'“]?[^\W\d][\w \-]{{0,40}}[\"'”]?\s*+:"
    )


@lru_cache(maxsize=16)
def _object_close(closers: str) -> re.Pattern[str]:
    close = (
        re.escape(closers) if len(closers) == 3 and closers[0] == closers[1] else f"[{re.escape(closers)}]"
    )
    return re.compile(rf"{close}(?:[\s,;]|{locate.COMMENT})*+\}}")


@lru_cache(maxsize=16)
def _cut_key(closers: str) -> re.Pattern[str]:
    close = (
        re.escape(closers) if len(closers) == 3 and closers[0] == closers[1] else f"[{re.escape(closers)}]"
    )
    return re.compile(rf"(?<!\\){close}\s*,\s*[\"'“]([^\W\d][\w \-]{{0,47}})[\"'”]?\s*(?:```\s*)?\Z")


@lru_cache(maxsize=16)
def _line_end_after(closers: str) -> re.Pattern[str]:
    close = (
        re.escape(closers) if len(closers) == 3 and closers[0] == closers[1] else f"[{re.escape(closers)}]"
    )
    return re.compile(rf"{close}[ \t,]*+\r?\n")


_ESCAPED_QUOTE = {quote: re.compile(rf"(?<!\\)(?:\\\\)*+\\{re.escape(quote)}") for quote in "\"'`“”„‟″‘’‚»«"}


def skip_value(text: str, at: int, stop: int) -> int | None:
    """The offset after one whole value of a key nobody asked for, JSON or Python; None when it is not one."""
    space = locate.SAME.match(text, at, stop)
    assert space is not None
    at = space.end()
    char = text[at : at + 1]
    stop = min(stop, at + EXTRA_CHARS)
    pattern = QUOTED.get(char)
    if pattern is not None:
        match = pattern.match(text, at, stop)
        return match.end() if match else None
    if char and char in "{[(":
        depth = 0
        for match in BRACKETED.finditer(text, at, stop):
            mark = match.group()
            if mark in "{[(":
                depth += 1
            elif mark in "}])":
                depth -= 1
                if depth == 0:
                    return match.end()
        return None
    match = SCALAR.match(text, at, stop)
    return match.end() if match else None
