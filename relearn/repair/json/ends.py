"""Where a text value ends: distinguished from a quote inside it by what follows, by how quotes pair up, by open braces.

What remains in doubt is refused.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice

from relearn.repair.json.anchors import (
    CLOSING,
    COMMENT,
    CROSSING,
    EXTRA_KEYS,
    NEXT_KEY,
    OBJECT_END,
    SAME,
    SCALAR,
    KeyAnchor,
    skip_value,
)
from relearn.repair.json.schema import RecordSchema

MAX_PAIRS = 2000
BACKWARD = 64
ENDS_SENTENCE = ".!?…)]}\"”’'"
STRING_PREFIX = re.compile(r"(?:^|[\s(=,\[{:+])[fFrRbBuU]{1,2}$")
TRAILING_SPACE = re.compile(r"(?:\s|(?<!\\)(?:\\\\)*\\[ntr])$")
APOSTROPHES = "'‘’‚`"
CLOSERS = {
    '"': '"', "'": "'", "`": "`'", '"""': '"""', "'''": "'''", "«": "»",
    **dict.fromkeys("“”„‟″", "”“„‟″"), **dict.fromkeys("‘’‚", "’‘‚"),
}  # fmt: skip
TRIPLES = ('"""', "'''")
OPENS = "([{<=,:+-–—/\\>*_#~|&%$@^“‘«`"
ESCAPE = re.compile(r"\\.", re.DOTALL)
ESCAPED_QUOTE = {quote: re.compile(rf"(?<!\\)(?:\\\\)*+\\{re.escape(quote)}") for quote in "\"'`“”„‟″‘’‚»«"}


def is_escaped(text: str, at: int, floor: int) -> bool:
    """Whether an odd number of backslashes comes before `at`."""
    chunk = text[max(floor, at - 64) : at]
    return (len(chunk) - len(chunk.rstrip("\\"))) % 2 == 1


def find_last_quote(text: str, closers: str, floor: int, before: int) -> int:
    """The last bare closing quote in [floor, before), or -1."""
    at = before
    while True:
        if closers in TRIPLES:
            at = text.rfind(closers, floor, at)
        else:
            at = max(text.rfind(char, floor, at) for char in closers)
        if at < 0 or not is_escaped(text, at, floor):
            return at


def find_bare_quotes(value: str, closers: str) -> list[int]:
    """Offsets of the quotes inside a value that could have closed it; apostrophes inside a word do not count."""
    plain = ESCAPE.sub("  ", value) if "\\" in value else value
    found = [at for at, char in enumerate(plain) if char in closers] if any(c in plain for c in closers) else []
    if closers[0] in APOSTROPHES:
        found = [
            at for at in found if not (0 < at < len(plain) - 1 and plain[at - 1].isalnum() and plain[at + 1].isalnum())
        ]
    return found


def quotes_pair_up(value: str, closers: str) -> bool:
    """Whether the number of quotes inside a value that could have closed it is even."""
    if closers[0] in APOSTROPHES:
        return len(find_bare_quotes(value, closers)) % 2 == 0
    plain = ESCAPE.sub("", value) if "\\" in value else value
    return sum(plain.count(closer) for closer in set(closers)) % 2 == 0


def quotes_come_in_pairs(value: str, at: list[int]) -> bool:
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
def _compile_member(closers: str) -> re.Pattern[str]:
    close = f"[{re.escape(''.join(sorted(set(closers))))}]"
    return re.compile(rf"{close}[\w][\w \-.]{{0,47}}{close}\s*+:")


def has_member_inside(value: str, closers: str) -> bool:
    """Whether a bare `"key":` is in the value outside braces: then two members may have run together."""
    if ":" not in value or not any(closer in value for closer in closers):
        return False
    for match in islice(_compile_member(closers).finditer(value), 50):
        if not is_escaped(value, match.start(), 0) and count_open_braces(value[: match.start()]) <= 0:
            return True
    return False


def count_open_braces(value: str) -> int:
    """Braces opened in the value less those closed."""
    return value.count("{") - value.count("}")


FLAGS_AND_BRACE = (
    rf"(?:[\s,;]|{COMMENT})*+(?:[\"“'‘]?\w[\w \-.]{{0,47}}[\"”'’]?\s*+:\s*+(?:{SCALAR.pattern})[\s,;]*+){{0,16}}\}}"
)
_QUOTE_THEN = {
    # A key nobody asked for: in group 1 (double quotes), 2 (single) or 3 (bare).
    "extra_key": rf"<QUOTE>(?:\s|,|{COMMENT})*+(?:[\"“”„]([\w][\w \-.]{{0,47}})[\"“”„]|'([\w][\w \-.]{{0,47}})'|(\w{{1,40}}))\s*+:(?!/)",
    # The closing brace of its object, and what else closes.
    "braces": rf"<QUOTE>(?:[\s,;]|{COMMENT})*+[\]\s]*+\}}[\s}}\]]*+",
    # One closing brace, past keys that hold flags and numbers.
    "brace": f"<QUOTE>{FLAGS_AND_BRACE}",
    # The end of its object, and the `brace` and first key of another.
    "other_object": r"<QUOTE>[\s,;]*+\}[\s,;\]}]*+(?:```\w*+\s*+)*+\[?\s*+(?P<brace>\{)\s*+[\"'“]?[^\W\d][\w \-]{0,40}[\"'”]?\s*+:",
    # A comma, and a key (its beginning in group 1) in which the text ends.
    "cut_key": r"(?<!\\)<QUOTE>\s*,\s*[\"'“]([^\W\d][\w \-]{0,47})[\"'”]?\s*(?:```\s*)?\Z",
    "line_end": r"<QUOTE>[ \t,]*+\r?\n",
}


@lru_cache(maxsize=96)
def _compile_quote_then(what: str, closers: str) -> re.Pattern[str]:
    """The pattern of one closing quote and what follows it: a key of `_QUOTE_THEN`."""
    quote = re.escape(closers) if closers in TRIPLES else f"[{re.escape(closers)}]"
    return re.compile(_QUOTE_THEN[what].replace("<QUOTE>", quote), re.IGNORECASE if what == "brace" else 0)


class EndFinder:
    """Finds the ends of the values of one text. `length` says that the server stopped the reply at its token limit."""

    def __init__(self, text: str, schema: RecordSchema, length: bool = False) -> None:
        self.text = text
        self.schema = schema
        self.length = length

    def find(
        self, anchor: KeyAnchor, start: int, closers: str, following: KeyAnchor | None, stop: int
    ) -> tuple[int, bool, list[str], str]:
        """Where the value that starts at `start` is closed: (offset or -1, next key is of the same object, flags, why)."""
        text = self.text
        stop = self._find_next_object(start, closers, following, stop)
        width = 3 if closers in TRIPLES else 1
        extra, suspect = self._find_before_extra_key(anchor, start, closers, following, stop)
        if extra is not None:
            return extra[0], extra[1], [], ""
        doubtful = False
        # Each: the offset, what closes it (None: nothing), whether the next key is of the same object.
        candidates: list[tuple[int, str | None, bool]] = []
        gap = CROSSING if following is not None else CLOSING
        at = stop
        for _ in range(BACKWARD):
            at = find_last_quote(text, closers, start, at)
            if at < 0:
                break
            after = at + width
            if following is not None and SAME.fullmatch(text, after, stop):
                candidates.append((at, None, True))
            elif gap.fullmatch(text, after, stop):
                between = text[after:stop]
                first = SAME.match(between).end()  # type: ignore[union-attr]
                closed = between[first : first + 1] in ("}", "]", ")")
                candidates.append((at, between if closed else None, False))
        # A comment may hold quotes: the first candidate whose own quotes pair up comes before the last one.
        candidates.reverse()
        for at, closing, same in candidates:
            raw = text[start:at]
            if has_member_inside(raw, closers):
                doubtful = True
                continue
            if same:
                if len(candidates) > 1 and not quotes_pair_up(raw, closers):
                    doubtful = True
                    continue
                if suspect:
                    return -1, False, [], "ambiguous_end"
                return at, True, [] if "," in text[at + width : stop] else ["comma_missing"], ""
            if not suspect and self._is_plausible(anchor, raw, closers, closing):
                return at, False, [] if closing is not None else ["closing_brace_missing"], ""
            doubtful = True
        at = self._find_before_cut_key(anchor, start, closers) if following is None else -1
        if at >= 0 and not suspect:
            return at, False, ["closing_brace_missing"], ""
        at = self._find_before_prose(anchor, start, closers, stop)
        if at >= 0 and not suspect:
            return at, False, [], ""
        return -1, False, [], "ambiguous_end" if doubtful or suspect else "cut_off"

    def find_nested(
        self, start: int, closers: str, following: KeyAnchor | None, stop: int
    ) -> tuple[int, bool, list[str], str]:
        """As `find`, for a value in an object of its own: the brace that closes the object must follow."""
        text = self.text
        for match in islice(_compile_quote_then("brace", closers).finditer(text, start, stop), 200):
            raw = text[start : match.start()]
            if (
                is_escaped(text, match.start(), start)
                or len(find_bare_quotes(raw, closers)) % 2
                or count_open_braces(raw) > 0
            ):
                continue
            after = match.end()
            if following is None:
                return match.start(), False, [], ""
            if SAME.fullmatch(text, after, stop):
                return match.start(), True, [], ""
            key = NEXT_KEY.match(text, after, stop)
            same = key is not None and self.follow_keys(key.end(), following, stop, set()) is True
            return match.start(), same, [], ""
        return -1, False, [], "cut_off"

    def _find_next_object(self, start: int, closers: str, following: KeyAnchor | None, stop: int) -> int:
        """Where the object of the following key begins, if it is another object: no value reaches past that."""
        text = self.text
        if following is not None:
            before = stop
            for _ in range(4):
                brace = text.rfind("{", start, before)
                if brace < 0:
                    break
                if self._leads_to_key(brace + 1, stop):
                    stop = brace
                    break
                before = brace
        for match in islice(_compile_quote_then("other_object", closers).finditer(text, start, stop), 50):
            raw = text[start : match.start()]
            if (
                not is_escaped(text, match.start(), start)
                and quotes_pair_up(raw, closers)
                and count_open_braces(raw) <= 0
            ):
                return match.start("brace")
        return stop

    def _leads_to_key(self, at: int, stop: int) -> bool:
        """Whether nothing but whole keys nobody asked for is between a brace and a known key."""
        for _ in range(EXTRA_KEYS):
            if SAME.fullmatch(self.text, at, stop):
                return True
            key = NEXT_KEY.match(self.text, at, stop)
            end = skip_value(self.text, key.end(), stop) if key is not None else None
            if end is None:
                return False
            at = end
        return False

    def _is_plausible(self, anchor: KeyAnchor, raw: str, closers: str, closing: str | None) -> bool:
        """Whether a quote that nothing but closing marks (or nothing at all) follows closes the value.

        A reply may have been cut just after a quote inside the text, even after `"}` inside code.
        """
        inner = find_bare_quotes(raw, closers)
        if closing is not None and not (self.length and closing.count("}") == 0):
            if not inner:
                return True
            if len(inner) % 2 and any(raw[max(0, at - 20) : at].rstrip().endswith(":") for at in inner[:50]):
                return False  # the quote may open the value of another key
            if closing.count("]") and raw.count("[") > raw.count("]"):
                return False
            opened = count_open_braces(raw)
            return opened <= 0 or closing.count("}") > opened
        if not raw or TRAILING_SPACE.search(raw):
            return False
        if not inner and self._escapes_quotes(anchor, len(raw), closers):
            return not self.length or raw[-1] in ENDS_SENTENCE
        if raw[-1] in OPENS and not raw.endswith("```"):
            return False
        if closers[0] in APOSTROPHES and raw[-1] not in ENDS_SENTENCE:
            return False
        if self.length and raw[-1] not in ENDS_SENTENCE:
            return False
        if inner:
            return quotes_come_in_pairs(raw, inner)
        return STRING_PREFIX.search(raw) is None

    def _escapes_quotes(self, anchor: KeyAnchor, size: int, closers: str) -> bool:
        """Whether whoever wrote the value escapes the quotes inside it: then a bare one is not part of the text."""
        return ESCAPED_QUOTE[closers[0]].search(self.text, anchor.after, anchor.after + size + 8) is not None

    def _find_before_cut_key(self, anchor: KeyAnchor, start: int, closers: str) -> int:
        """The close of a value after which the text ends inside the key of another field, or -1."""
        tail = self.text[max(start, len(self.text) - 120) :]
        match = _compile_quote_then("cut_key", closers).search(tail)
        if match is None:
            return -1
        begun = match.group(1).strip().casefold()
        others = [name for name in self.schema.fields if name != anchor.name]
        if not any(name.casefold().startswith(begun) for name in others):
            return -1
        at = len(self.text) - len(tail) + match.start()
        return at if self._is_plausible(anchor, self.text[start:at], closers, None) else -1

    def _find_before_prose(self, anchor: KeyAnchor, start: int, closers: str, stop: int) -> int:
        """The first quote that a closing brace follows (or the end of a line), and then text of no record."""
        text = self.text
        pattern = _compile_quote_then("braces", closers)
        for match in islice(pattern.finditer(text, start, stop), 200):
            raw = text[start : match.start()]
            inner = find_bare_quotes(raw, closers)
            if is_escaped(text, match.start(), start) or not raw or raw[-1] in "([{=":
                continue
            if count_open_braces(raw) > 0 and count_open_braces(raw) >= match.group().count("}"):
                continue
            if not inner or quotes_come_in_pairs(raw, inner):
                return match.start()
        for match in islice(_compile_quote_then("line_end", closers).finditer(text, start, stop), 200):
            raw = text[start : match.start()]
            if not is_escaped(text, match.start(), start) and self._is_plausible(anchor, raw, closers, None):
                return match.start()
        return -1

    def _find_before_extra_key(
        self, anchor: KeyAnchor, start: int, closers: str, following: KeyAnchor | None, stop: int
    ) -> tuple[tuple[int, bool] | None, bool]:
        """The close of a value that keys nobody asked for follow; and whether there is a trace of one that fails."""
        text = self.text
        if closers in TRIPLES:
            return None, False
        suspect = False
        failed: set[int] = set()
        for match in islice(_compile_quote_then("extra_key", closers).finditer(text, start, stop), 50):
            at = match.start()
            if is_escaped(text, at, start):
                continue
            if match.group(3) is not None and "," not in text[at : match.start(3)]:
                continue
            raw = text[start:at]
            if not quotes_pair_up(raw, closers) or count_open_braces(raw) > 0:
                continue
            chained = self.follow_keys(match.end(), following, stop, failed)
            if chained is not None and (match.group(3) is None or not anchor.quote):
                return (at, chained), suspect
            if chained is not None or match.group(3) is None:
                suspect = True  # a bare word before a colon is a key only where the keys are bare
        return None, suspect

    def follow_keys(self, at: int, following: KeyAnchor | None, stop: int, failed: set[int]) -> bool | None:
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
            if following is not None and SAME.fullmatch(text, end, stop):
                return True
            gap = CROSSING if following is not None else CLOSING
            if gap.fullmatch(text, end, stop):
                return False
            key = NEXT_KEY.match(text, end, stop)
            if key is None:
                closed = OBJECT_END.match(text, end, stop)
                if closed is not None and '"}' not in text[closed.end() : stop]:
                    return False
                break
            at = key.end()
        failed.update(seen)
        return None
