"""The schema-anchored reading: the keys are known, so what stands between two of them is a value.

The text between `"agree": "` and `", "disagree"` is the value however many bare quotes it holds. Where no known
key follows, `ending` tells the end of a value from a quote inside it, or refuses.
"""

from __future__ import annotations

import re

from relearn.repair.json import locate
from relearn.repair.json.ending import Ending
from relearn.repair.json.locate import Anchor
from relearn.repair.json.quotes import CLOSERS, bare_quotes, last
from relearn.repair.json.schema import Shape
from relearn.repair.json.shape import TEXT_KEYS
from relearn.repair.json.tree import NUMBER, Draft, Part, number
from relearn.repair.json.unknown import EXTRA_KEYS, NEXT_KEY, QUOTED, skip_value
from relearn.repair.json.verbatim import JSON, LOOSE, decode, has_invalid_escape

CONTROL = re.compile(r"[\x00-\x1f]")
BOOLEAN = re.compile(r"\s*+[\"']?(true|false)\b[\"']?(?=\s*[,}\]\n])", re.IGNORECASE)
QUOTED_NUMBER = re.compile(r"\s*+([\"']?)")
CUT_AT = re.compile(r"\n\s*```|\n\s*~~~|\n[ \t]*\n|```\s*$")


class Reader:
    """Reads the fields of one text. `length` says that the server stopped the reply at its token limit."""

    def __init__(self, text: str, shape: Shape, length: bool = False) -> None:
        self.text = text
        self.shape = shape
        self.ends = Ending(text, shape, length)

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
            text.startswith(quote[0], opening.end()) or last(text, quote, opening.end(), stop) < 0
        ):
            quote = quote[0]  # an ordinary quote, and a text that begins with two or three of them
        start = opening.start(1) + len(quote)
        closers = CLOSERS[quote]
        codec = (LOOSE,) if quote[0] == "'" or anchor.quote == "'" else (JSON,)
        if "nested" in flags:
            place, same, more, why = self.ends.close_nested(start, closers, following, stop)
        else:
            place, same, more, why = self.ends.close(anchor, start, closers, following, stop)
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
        return key is not None and self.ends.chain(key.end(), following, stop, set()) is True
