"""Text encoded twice: an object inside a string, of JSON, of Python or of a CSV file, with its escapes.

`"{\\"answer\\": ...}"`, a list of such strings as `json.dump` or `str` writes it, a CSV field with its quotes
doubled, and the same without the outer quotes. The string is undone once, with the offset each character came
from, and then read like any other text.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from relearn.repair.json.anchors import find_anchors
from relearn.repair.json.records import find_records
from relearn.repair.json.schema import RecordSchema
from relearn.repair.json.values import read_strict
from relearn.repair.json.verbatim import CSV, JSON, PYTHON, unescape_mapped

_BLANK = r"(?:\s|\\[nrt])*+"
_OBJECT = rf"(?:```\w*{_BLANK})?(?:[\[{{｛]|\\uff5b){_BLANK}[\[{{]?{_BLANK}"
_OPEN = re.compile(
    rf"(?<![\w\\])([\"'])(?={_BLANK}{_OBJECT}(?:\\[\"']|\\u20|[\"'“”\w/#]))"
    # a sentence, a line end as Python writes it, and then the object
    rf"|(?<![\w\\])(')(?=(?:[^'\\{{]|\\.){{1,400}}?\\n{_BLANK}{_OBJECT}[\"“])"
)
_ESCAPED_KEY = re.compile(r"(?<!\\)\\++[\"']([\w][\w \-]{0,47})\\++[\"']\s*+(?:[:：]|\\uff1a)")
_DOUBLED_KEY = re.compile(r"(?<!\")\"\"([\w][\w \-]{0,47})\"\"\s*+:")
_CSV_OPEN = re.compile(r"(?:\A|[,;\t\n])\"(?!\"(?!\"))")
_CSV_END = re.compile(r"(?:[^\"]++|\"\")*+\"(?!\")")
_END = {'"': re.compile(r"(?:[^\"\\]++|\\.)*+\"", re.DOTALL), "'": re.compile(r"(?:[^'\\]++|\\.)*+'", re.DOTALL)}
_STRICT_OPEN = re.compile(r"\{\s*+\"")
_CLOSED_TEXT = re.compile(r"\s*+\"(?:[^\"\\]++|\\.)*+\"(?=\s*+(?:[,}\]]|\Z))", re.DOTALL)
_AFTER = re.compile(r"\s*+(?:[,\]})\[(]|```|$|[\"'])|[ \t]*+\n")


@dataclass(slots=True)
class EncodedText:
    """A stretch of the raw text and what it says once undone; `offsets[i]` is where `text[i]` came from."""

    start: int
    end: int
    text: str
    offsets: array[int]
    dialect: str


def looks_encoded(text: str, schema: RecordSchema) -> bool:
    """Whether reading the text once may not be enough (cheap: most texts have none of the signs)."""
    if '""' in text and _find_key(_DOUBLED_KEY, text, 0, schema) is not None:
        return True
    return "\\" in text and (_find_key(_ESCAPED_KEY, text, 0, schema) is not None or _OPEN.search(text) is not None)


def _find_key(pattern: re.Pattern[str], text: str, at: int, schema: RecordSchema) -> re.Match[str] | None:
    """The first key of a field that the pattern finds."""
    for match in pattern.finditer(text, at):
        if schema.keys.match(match.group(1)) is not None:
            return match
    return None


class EncodedFinder:
    """Looks for strings that hold objects. Work is bounded by a budget of characters, linear in the text."""

    def __init__(self, text: str, schema: RecordSchema) -> None:
        self.text = text
        self.schema = schema
        anchors = list(find_anchors(text, schema))
        self.plain = [anchor.start for anchor in anchors]
        closed = (_CLOSED_TEXT.match(text, anchor.after) for anchor in anchors)
        self.texts = [match.span() for match in closed if match is not None]
        self.budget = self.strict_budget = 6 * len(text) + 100_000
        self.strict_at = 0

    def find(self) -> Iterator[EncodedText]:
        """The strings that hold objects with a field, in order, not overlapping; one never closed goes to the end."""
        text, at = self.text, 0
        opening = _OPEN.search(text)
        escaped = _find_key(_ESCAPED_KEY, text, 0, self.schema) if "\\" in text else None
        doubled = _find_key(_DOUBLED_KEY, text, 0, self.schema) if '""' in text else None
        while self.budget > 0:
            if opening is not None and opening.start() < at:
                opening = _OPEN.search(text, at)
            if escaped is not None and escaped.start() < at:
                escaped = _find_key(_ESCAPED_KEY, text, at, self.schema)
            if doubled is not None and doubled.start() < at:
                doubled = _find_key(_DOUBLED_KEY, text, at, self.schema)
            marks = [mark for mark in (doubled, opening, escaped) if mark is not None]
            if not marks:
                return
            first = min(marks, key=lambda mark: mark.start())
            end = self._find_sound_end(first.start(), at)
            if end is not None:
                at = end
                continue
            if doubled is not None and (first is doubled or first is opening):
                found = self._read_csv(doubled, at)
                if found is None and first is doubled:
                    at = doubled.end()
                    continue
            else:
                found = None
            if found is None:
                found = self._read_quoted(first, at) if first is opening else self._read_unquoted(first, at)
            if found is None:
                at = first.start() + 1
                continue
            yield found
            at = max(found.end, first.start() + 1)

    def _find_sound_end(self, mark: int, floor: int) -> int | None:
        """Where what holds the mark ends, if that is to be read once only: a strict object with a field, or the closed
        text of a known key. What looks encoded there is what the text says.
        """
        place = bisect_left(self.texts, (mark,)) - 1
        if place >= 0 and self.texts[place][0] >= floor and self.texts[place][1] > mark:
            return self.texts[place][1]
        self.strict_at = max(self.strict_at, floor)
        while self.strict_budget > 0 and (opening := _STRICT_OPEN.search(self.text, self.strict_at, mark)) is not None:
            result = read_strict(self.text, opening.start())
            end = result if isinstance(result, int) else result[1]
            self.strict_budget -= end - opening.start()
            if isinstance(result, int):
                self.strict_at = opening.start() + 1
                continue
            self.strict_at = end
            if end > mark:
                records = find_records(result[0], self.schema)
                return end if any(not field.lost for one in records for field in one.fields.values()) else None
        return None

    def _read_quoted(self, opening: re.Match[str], floor: int) -> EncodedText | None:
        text = self.text
        quote = opening.group(1) or opening.group(2)
        if text[max(floor, opening.start() - 20) : opening.start()].rstrip().endswith(":"):
            return None  # the value of a key: a text that happens to begin with a bracket
        closing = _END[quote].match(text, opening.end())
        end = closing.end() if closing else len(text)
        self.budget -= end - opening.end()
        inside = text[opening.end() : end - 1 if closing else end]
        if "\\" not in inside:
            return None
        whole = closing is not None and _AFTER.match(text, end) is not None
        if not whole and _find_key(_ESCAPED_KEY, inside, 0, self.schema) is None:
            return None
        return self._decode(opening.start(), end, inside, opening.end(), PYTHON if quote == "'" else JSON)

    def _read_unquoted(self, escaped: re.Match[str], floor: int) -> EncodedText | None:
        """Escaped keys without an outer quote: from the brace before them to the next key that is not escaped."""
        text = self.text
        start = max(text.rfind("{", floor, escaped.start()), floor)
        bracket = text.rfind("[", max(floor, start - 40), start)
        if bracket >= 0 and not text[bracket + 1 : start].strip():
            start = bracket
        place = bisect_left(self.plain, escaped.end())
        end = len(text)
        if place < len(self.plain):
            brace = text.rfind("{", escaped.end(), self.plain[place])
            end = brace if brace >= 0 else self.plain[place]
        self.budget -= end - start
        return self._decode(start, end, text[start:end], start, JSON)

    def _read_csv(self, doubled: re.Match[str], floor: int) -> EncodedText | None:
        """A field of a CSV file: its quotes are doubled."""
        text = self.text
        window = max(floor, doubled.start() - 20_000)
        openings = list(_CSV_OPEN.finditer(text, window, doubled.start() + 1))
        self.budget -= doubled.start() - window
        if not openings:
            return None
        opening = openings[-1]
        closing = _CSV_END.match(text, opening.end())
        end = closing.end() if closing else len(text)
        if end <= doubled.start():
            return None
        self.budget -= end - opening.end()
        inside = text[opening.end() : end - 1 if closing else end]
        return self._decode(opening.end() - 1, end, inside, opening.end(), CSV)

    def _decode(self, start: int, end: int, inside: str, base: int, dialect: str) -> EncodedText | None:
        decoded, offsets = unescape_mapped(inside, dialect, base)
        if next(find_anchors(decoded, self.schema), None) is None:
            return None
        return EncodedText(start, end, decoded, offsets, dialect)
