"""The schema-anchored reading: the keys are known, so what is between two of them is a value.

The text between `"question": "` and `", "answer"` is the value however many bare quotes it holds. Where no known
key follows, `ends` tells the end of a value from a quote inside it, or refuses.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise

from relearn.repair.json.anchors import (
    CLOSING,
    COMMENT,
    CROSSING,
    EXTRA_KEYS,
    NESTED,
    NEXT_KEY,
    OBJECT_END,
    OPENING,
    QUOTED,
    SAME,
    KeyAnchor,
    skip_flags,
    skip_value,
)
from relearn.repair.json.ends import (
    CLOSERS,
    ENDS_SENTENCE,
    FLAGS_AND_BRACE,
    EndFinder,
    find_bare_quotes,
    find_last_quote,
    has_member_inside,
)
from relearn.repair.json.records import TEXT_KEYS, FoundField, FoundRecord, lose_field
from relearn.repair.json.schema import RecordSchema
from relearn.repair.json.values import NUMBER, parse_number
from relearn.repair.json.verbatim import JSON, LOOSE, decode, has_invalid_escape

CONTROL = re.compile(r"[\x00-\x1f]")
BOOLEAN = re.compile(r"\s*+[\"']?(true|false)\b[\"']?(?=\s*[,}\]\n])", re.IGNORECASE)
QUOTED_NUMBER = re.compile(r"\s*+([\"']?)")
LIST_OPENING = re.compile(r"\s*+\[\s*+")
ITEM_GAP = re.compile(r"[\s,]*+")
AFTER_NUMBER = re.compile(r"\s*+(?:,(?!\s*\d)|[}\]\n#]|/[/*]|[\"']\s*+[^\W\d])")
"""What may follow a number; the 000 of `12,000` and the 4 of `3/4` may not."""
SCALAR_END = re.compile(r"[^\n{}\[\]\"“”]*+")
JOIN = re.compile(rf"(?=\s|[+\\])\s*+(?:\+|\\)?\s*+(?:{COMMENT})?\s*+(?=[\"'“”])")
PIECE = re.compile(r"'(?:[^'\\]|\\.|(?<=\w)'(?=\w))*+'", re.DOTALL)
"""As `QUOTED`, for single quotes: an apostrophe inside a word closes nothing."""
HIDDEN_JOIN = re.compile(r"([\"'“”])(?:[ \t]*+\+\s*+|[ \t]*+\r?\n\s*+)[\"'“”]")
NESTED_END = re.compile(FLAGS_AND_BRACE, re.IGNORECASE)
PIECES_END = re.compile(r"\s*+\)?")
CODE_BEFORE = "([{=+,<>*/%&|:"
CODE_AFTER = ")]},.;+=*/%&|<>:"
STRAY_TAIL = re.compile(r"[\"“”],[\s,\"“”]*")
"""From the last bare quote to the end of a value that closed before: `done",` and another quote."""
KEY_TAIL = re.compile(r"[\"”]\s*,\s*[\"“](\w[\w \-]{0,47})[\"”]?\s*\Z")
"""Another key at the end of a value: the text was cut inside the key, and something closed it."""
CUT_AT = re.compile(r"\n\s*```|\n\s*~~~|\n[ \t]*\n|```\s*$")


def _meet_as_prose(one: str, other: str) -> bool:
    """Whether two pieces of a text meet as its words do: with one space, a line end, or at the end of a sentence."""
    if not one.strip() or not other.strip():
        return False
    if one[-1].isspace() == other[0].isspace():
        return False
    before, after = one.rstrip()[-1], other.lstrip()[0]
    return (before.isalnum() or before in ".,;:!?…)”’\"'—-") and (after.isalnum() or after in "“‘\"'(—")


class AnchoredReader:
    """Reads the fields of one text. `length` says that the server stopped the reply at its token limit."""

    def __init__(self, text: str, schema: RecordSchema, length: bool = False) -> None:
        self.text = text
        self.schema = schema
        self.ends = EndFinder(text, schema, length)

    def read_object(self, found: list[KeyAnchor], index: int, start: int) -> tuple[FoundRecord, int]:
        """Reads fields from `found[index]` until the object ends or a field comes again: (record, next index)."""
        text = self.text
        record = FoundRecord(start, start)
        while True:
            anchor = found[index]
            following = found[index + 1] if index + 1 < len(found) else None
            stop = len(text) if following is None else following.start
            kind = self.schema.fields[anchor.name]
            if kind == "string":
                field, same = self._read_text(anchor, following, stop)
            elif kind == "strings":
                field, same = self._read_list(anchor, following, stop)
            else:
                field, same = self._read_scalar(anchor, kind, following, stop)
            if anchor.flag:
                field.flags = (*field.flags, anchor.flag)
            record.fields[anchor.name] = field
            record.end = field.end if field.lost else field.end + 1
            index += 1
            if following is None or not same or following.name in record.fields:
                break
        if not field.lost or (kind not in ("string", "strings") and field.lost == "wrong_type"):
            record.end = self._find_object_end(record.end, len(text) if following is None else following.start)
        return record, index

    def _find_object_end(self, at: int, stop: int) -> int:
        """The offset after the brace that closes an object, past keys nobody asked for; `at` where there is none."""
        text = self.text
        end = at
        for _ in range(EXTRA_KEYS):
            closing = OBJECT_END.match(text, end, stop)
            if closing is not None:
                return closing.end()
            key = NEXT_KEY.match(text, end, stop)
            after = skip_value(text, key.end(), stop) if key is not None else None
            if after is None:
                break
            end = after
        return end

    # Text -----------------------------------------------------------------------------------------------------

    def _read_text(self, anchor: KeyAnchor, following: KeyAnchor | None, stop: int) -> tuple[FoundField, bool]:
        text = self.text
        flags: list[str] = []
        unclear = False  # the text is in an object under a key that may hold something else
        at = anchor.after
        opening = OPENING.match(text, at, stop)
        for _ in range(3):
            if opening is not None:
                break
            nested = NESTED.match(text, at, stop)
            if nested is None:
                break
            flags.append("nested" if nested.group(2) is not None else "list")
            if nested.group(2) is not None and nested.group(2).strip().casefold() not in TEXT_KEYS:
                unclear = True
            at = nested.end()
            if nested.group(2) is not None and OPENING.match(text, at, stop) is None:
                at = skip_flags(text, nested.end(1), stop)
            opening = OPENING.match(text, at, stop)
        if opening is None:
            return lose_field("no_quotes", anchor.after, stop), False
        quote = opening.group(1)
        if len(quote) == 3 and (
            text.startswith(quote[0], opening.end()) or find_last_quote(text, quote, opening.end(), stop) < 0
        ):
            quote = quote[0]  # an ordinary quote, and a text that begins with two or three of them
        start = opening.start(1) + len(quote)
        closers = CLOSERS[quote]
        # A bare key is JavaScript's or Python's, and both know \\x96.
        codec = (LOOSE,) if quote[0] == "'" or anchor.quote in ("'", "") else (JSON,)
        joined = self._read_pieces(opening.start(1), quote, codec, following, stop, "nested" in flags)
        if joined is not None:
            return joined
        if "nested" in flags:
            place, same, more, why = self.ends.find_nested(start, closers, following, stop)
        else:
            place, same, more, why = self.ends.find(anchor, start, closers, following, stop)
        if place < 0:
            end = self._find_cut(start, stop, following)
            why = "nested_unclear" if unclear else why
            return lose_field(why, start, end, codec, tuple(flags)), False
        raw = text[start:place]
        if "nested" in flags and has_member_inside(raw, closers):
            return lose_field("nested_unclear", start, place, codec, tuple(flags)), same
        bare = find_bare_quotes(raw, closers)
        if bare and quote in ('"', "“", "”"):
            if bare == [0] and len(raw) > 1:
                start, raw, bare = start + 1, raw[1:], []  # `""text"`: the opening quote was written twice
                flags.append("doubled_quote")
            elif len(bare) % 2 and STRAY_TAIL.fullmatch(raw, bare[-1]):
                return lose_field("ambiguous_end", start, place, codec, tuple(flags)), same
            cut_key = KEY_TAIL.search(raw)
            if cut_key is not None and self.schema.keys.match(cut_key.group(1)) is not None:
                return lose_field("ambiguous_end", start, place, codec, tuple(flags)), same
        if bare and any(_meet_as_prose(raw[: join.start()], raw[join.end() :]) for join in HIDDEN_JOIN.finditer(raw)):
            return lose_field("ambiguous_end", start, place, codec, tuple(flags)), same
        flags += more
        if quote in "'`‘’‚" or quote == "'''":
            flags.append("single_quotes")
        elif quote not in ('"', '"""'):
            flags.append("typographic_quotes")
        if "\\" in raw and (codec == (JSON,) or not anchor.quote) and has_invalid_escape(raw):
            flags.append("invalid_escape")
        if CONTROL.search(raw):
            flags.append("raw_control_character")
        if bare:
            flags.append("inner_quotes")
        return FoundField(decode(raw, codec), start, place, codec, tuple(flags)), same

    def _read_pieces(
        self, at: int, quote: str, codec: tuple[str, ...], following: KeyAnchor | None, stop: int, nested: bool
    ) -> tuple[FoundField, bool] | None:
        """A text written in pieces, `"so " + "on"`, or side by side as Python joins them; None when it is not.

        `print(" + ")` with bare quotes looks the same: pieces of prose meet with one space, quoted code does not.
        """
        pattern = PIECE if quote == "'" else QUOTED.get(quote)
        first = pattern.match(self.text, at, stop) if pattern is not None else None
        if pattern is None or first is None or JOIN.match(self.text, first.end(), stop) is None:
            return None
        pieces = [(first.start() + 1, first.end() - 1)]
        joins = []
        end = first.end()
        while (join := JOIN.match(self.text, end, stop)) is not None:
            piece = pattern.match(self.text, join.end(), stop)
            if piece is None:
                break
            joins.append(join.group())
            pieces.append((piece.start() + 1, piece.end() - 1))
            end = piece.end()
        if not joins:
            return None
        end = PIECES_END.match(self.text, end, stop).end()  # type: ignore[union-attr]
        if nested:
            closed = NESTED_END.match(self.text, end, stop)
            if closed is None:
                return None
            end = closed.end()
        same = following is not None and self._is_same_object(end, following, stop)
        gap = CROSSING if following is not None else CLOSING
        if not (same or OBJECT_END.match(self.text, end, stop) or gap.fullmatch(self.text, end, stop)):
            return None
        if following is None and "}" not in self.text[end:stop] and self.text[pieces[-1][1] - 1] not in ENDS_SENTENCE:
            # Nothing closes the object: another piece may have been to come.
            return lose_field("cut_off", pieces[0][0], pieces[-1][1], codec), False
        texts = [decode(self.text[start:stop_], codec) for start, stop_ in pieces]
        prose = all(_meet_as_prose(one, other) for one, other in pairwise(texts))
        code = any(one.rstrip()[-1:] in tuple(CODE_BEFORE) or other.lstrip()[:1] in tuple(CODE_AFTER)
                   for one, other in pairwise(texts))  # fmt: skip
        if not prose:
            return None if code else (lose_field("ambiguous_end", pieces[0][0], pieces[-1][1], codec), same)
        return FoundField(
            "".join(texts),
            pieces[0][0],
            pieces[-1][1],
            codec,
            ("joined", *(("nested",) if nested else ())),
            tuple(pieces),
        ), same

    def _find_cut(self, start: int, stop: int, following: KeyAnchor | None) -> int:
        """Where the text of a value that is never closed ends, as far as can be told."""
        text = self.text
        cut = CUT_AT.search(text, start, stop)
        end = cut.start() if cut else stop
        if following is not None and not cut:
            end -= len(re.search(r"[\s{\[,(]*\Z", text[max(start, stop - 200) : stop]).group())  # type: ignore[union-attr]
        return max(start, end)

    # Lists, numbers, booleans ---------------------------------------------------------------------------------

    def _read_list(self, anchor: KeyAnchor, following: KeyAnchor | None, stop: int) -> tuple[FoundField, bool]:
        text = self.text
        codec = (LOOSE,) if anchor.quote == "'" else (JSON,)
        opening = LIST_OPENING.match(text, anchor.after, stop)
        if opening is None:
            return lose_field("wrong_type", anchor.after, stop), False
        at = opening.end()
        items: list[tuple[int, int]] = []
        while not text.startswith("]", at):
            pattern = QUOTED.get(text[at : at + 1])
            match = pattern.match(text, at, stop) if pattern else None
            if match is None:
                reason = "cut_off" if following is None and at >= len(text.rstrip()) - 1 else "ambiguous_end"
                return lose_field(reason, opening.end(), stop, codec), False
            items.append((match.start() + 1, match.end() - 1))
            at = ITEM_GAP.match(text, match.end(), stop).end()  # type: ignore[union-attr]
            if at >= stop:
                return lose_field("cut_off", opening.end(), stop, codec), False
        same = following is not None and SAME.fullmatch(text, at + 1, stop) is not None
        values = [decode(text[start:end], codec) for start, end in items]
        start = text.index("[", anchor.after) + 1
        return FoundField(values, start, at, codec, (), tuple(items)), same

    def _read_scalar(
        self, anchor: KeyAnchor, kind: str, following: KeyAnchor | None, stop: int
    ) -> tuple[FoundField, bool]:
        text = self.text
        flags: tuple[str, ...] = ()
        value: bool | float
        if kind == "boolean":
            match = BOOLEAN.match(text, anchor.after, stop)
            if match is None:
                return self._refuse_scalar(anchor, following, stop)
            start, end, value = match.start(1), match.end(1), match.group(1).lower() == "true"
            if match.group(1) not in ("true", "false"):
                flags = ("python_literal",)
        else:
            at = QUOTED_NUMBER.match(text, anchor.after, stop)
            assert at is not None
            literal = NUMBER.match(text, at.end(), stop)
            if literal is None:
                return self._refuse_scalar(anchor, following, stop)
            if literal.end() >= len(text):
                return lose_field("cut_off", literal.start(), stop), False
            start, end, value = literal.start(), literal.end(), parse_number(literal.group())
            if at.group(1):
                if not text.startswith(at.group(1), end):
                    return self._refuse_scalar(anchor, following, stop)
                flags = ("number_in_quotes",)
            elif not AFTER_NUMBER.match(text, end):
                return self._refuse_scalar(anchor, following, stop)
            if kind == "integer" and isinstance(value, float) and math.isfinite(value) and not value.is_integer():
                return self._refuse_scalar(anchor, following, stop)
        field = FoundField(value, start, end, (), flags)
        after = end + 1 if text[end : end + 1] in ("'", '"') and text[start - 1] in "'\"" else end
        return field, following is not None and self._is_same_object(after, following, stop)

    def _refuse_scalar(self, anchor: KeyAnchor, following: KeyAnchor | None, stop: int) -> tuple[FoundField, bool]:
        """A value that is of another type, such as `12,000`: what follows it is read all the same."""
        text = self.text
        end = SCALAR_END.match(text, anchor.after, stop).end()  # type: ignore[union-attr]
        if SAME.fullmatch(text, end, stop) is None:
            end = skip_value(text, anchor.after, stop) or end
        same = following is not None and self._is_same_object(end, following, stop)
        raw = text[anchor.after : end]
        field = lose_field("wrong_type", end - len(raw.lstrip()), anchor.after + len(raw.rstrip(" \t\r,;")))
        return field, same

    def _is_same_object(self, after: int, following: KeyAnchor, stop: int) -> bool:
        """Whether only separators, or keys nobody asked for, come before the next known key."""
        if SAME.fullmatch(self.text, after, stop):
            return True
        key = NEXT_KEY.match(self.text, after, stop)
        return key is not None and self.ends.follow_keys(key.end(), following, stop, set()) is True
