"""Where a text value ends: told from a quote inside it by what follows, by how quotes pair up, by braces opened.

What stays in doubt is refused.
"""

from __future__ import annotations

import re

from relearn.repair.json import locate
from relearn.repair.json.locate import Anchor
from relearn.repair.json.quotes import (
    APOSTROPHES,
    ESCAPED_QUOTE,
    OPENS,
    bare_quotes,
    brace_after,
    cut_key,
    escaped,
    extra_key,
    last,
    line_end_after,
    member_inside,
    object_boundary,
    object_close,
    open_braces,
    pairs,
    quotes_pair_up,
)
from relearn.repair.json.schema import Shape
from relearn.repair.json.unknown import EXTRA_KEYS, NEXT_KEY, skip_value

BACKWARD = 64
ENDS_SENTENCE = ".!?…)]}\"”’'"
STRING_PREFIX = re.compile(r"(?:^|[\s(=,\[{:+])[fFrRbBuU]{1,2}$")
TRAILING_SPACE = re.compile(r"(?:\s|(?<!\\)(?:\\\\)*\\[ntr])$")


class Ending:
    """Finds the ends of the values of one text. `length` says that the server stopped the reply at its token limit."""

    def __init__(self, text: str, shape: Shape, length: bool = False) -> None:
        self.text = text
        self.shape = shape
        self.length = length

    def close(
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
            at = last(text, closers, start, at)
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

    def close_nested(
        self, start: int, closers: str, following: Anchor | None, stop: int
    ) -> tuple[int, bool, list[str], str]:
        """As `_close`, for a value in an object of its own: the brace that closes the object must follow."""
        text = self.text
        for turn, match in enumerate(object_close(closers).finditer(text, start, stop)):
            if turn == 200:
                break
            raw = text[start : match.start()]
            if (
                escaped(text, match.start(), start)
                or len(bare_quotes(raw, closers)) % 2
                or open_braces(raw) > 0
            ):
                continue
            after = match.end()
            if following is None:
                return match.start(), False, [], ""
            if locate.SAME.fullmatch(text, after, stop):
                return match.start(), True, [], ""
            key = NEXT_KEY.match(text, after, stop)
            same = key is not None and self.chain(key.end(), following, stop, set()) is True
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
        for turn, match in enumerate(object_boundary(closers).finditer(text, start, stop)):
            if turn == 50:
                break
            raw = text[start : match.start()]
            if (
                not escaped(text, match.start(), start)
                and quotes_pair_up(raw, closers)
                and open_braces(raw) <= 0
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
            opened = open_braces(raw)
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
            return pairs(raw, inner)
        return STRING_PREFIX.search(raw) is None

    def _escapes(self, anchor: Anchor, size: int, closers: str) -> bool:
        """Whether whoever wrote the value escapes the quotes inside it: then a bare one is no part of the text."""
        return ESCAPED_QUOTE[closers[0]].search(self.text, anchor.after, anchor.after + size + 8) is not None

    def _before_cut_key(self, anchor: Anchor, start: int, closers: str) -> int:
        """The close of a value after which the text ends inside the key of another field, or -1."""
        tail = self.text[max(start, len(self.text) - 120) :]
        match = cut_key(closers).search(tail)
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
        pattern = brace_after(closers)
        for turn, match in enumerate(pattern.finditer(text, start, stop)):
            if turn == 200:
                break
            raw = text[start : match.start()]
            inner = bare_quotes(raw, closers)
            if escaped(text, match.start(), start) or not raw or raw[-1] in "([{=":
                continue
            if open_braces(raw) > 0 and open_braces(raw) >= match.group().count("}"):
                continue
            if not inner or pairs(raw, inner):
                return match.start()
        for turn, match in enumerate(line_end_after(closers).finditer(text, start, stop)):
            if turn == 200:
                break
            raw = text[start : match.start()]
            if not escaped(text, match.start(), start) and self._plausible(anchor, raw, closers, None):
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
        for turn, match in enumerate(extra_key(closers).finditer(text, start, stop)):
            if turn == 50:
                break
            at = match.start()
            if escaped(text, at, start):
                continue
            if match.group(3) is not None and "," not in text[at : match.start(3)]:
                continue
            raw = text[start:at]
            if not quotes_pair_up(raw, closers) or open_braces(raw) > 0:
                continue
            chained = self.chain(match.end(), following, stop, failed)
            if chained is not None and (match.group(3) is None or not anchor.quote):
                return (at, chained), suspect
            if chained is not None or match.group(3) is None:
                suspect = True  # a bare word before a colon is a key only where the keys are bare
        return None, suspect

    def chain(self, at: int, following: Anchor | None, stop: int, failed: set[int]) -> bool | None:
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
