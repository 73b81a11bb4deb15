"""Text that the reply ends inside: what is done with it, and how a hidden cut is found.

A server that stopped at its token limit says so (`finish_reason` is `length`), but dumps seldom keep that, and
a fence or a brace added after the cut hides it. The readers find an unclosed string; here is the rest.
"""

from __future__ import annotations

import re

from relearn.repair.json.tree import Draft, Part
from relearn.repair.json.verbatim import PLAIN, Codec, encodable, holds, unescape_mapped

CUT = "cut_off"
SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*+(?=\s+[\"'“‘(\[]*[^\sa-z])")
ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|sr|jr|vs|etc|e\.g|i\.e|vol|fig|cf|al)|(?:^|[\s.])[A-Z])\.$",
    re.IGNORECASE,
)
CLOSED = ".!?…)]}\"'”’`*"
HALF_ESCAPE = re.compile(r"\\+(?:u[0-9a-fA-F]{0,3}|U[0-9a-fA-F]{0,7}|x[0-9a-fA-F]?)?$")


def whole_sentence(text: str) -> int:
    """The length of the text up to the end of its last sentence that something follows; 0 when there is none.

    A full stop at the very end is no proof of a whole sentence: "3." may go on as "3.5".
    """
    end = 0
    for match in SENTENCE_END.finditer(text):
        if not ABBREVIATION.search(text[max(0, match.start() - 8) : match.start() + 1]):
            end = match.end()
    return end


def settle(text: str, draft: Draft, policy: str) -> None:
    """Applies `repair.truncated` (drop, trim, keep) to the cut fields of a record; the flags say what was done."""
    for part in draft.parts.values():
        if part.lost != CUT or part.items is not None or policy == "drop" or not part.codec:
            continue
        raw = text[part.start : part.end].rstrip()
        half = HALF_ESCAPE.search(raw)
        if half is not None and _odd_or_partial(half.group()):
            raw = raw[: half.start()]
        decoded, offsets = _mapped(raw, part.codec)
        if policy == "trim":
            size = whole_sentence(decoded)
            if not size:
                continue
            _keep(text, part, decoded[:size], part.start + offsets[size], "trimmed")
        elif decoded:
            _keep(text, part, decoded, part.start + len(raw), "kept_cut")


def _odd_or_partial(escape: str) -> bool:
    slashes = len(escape) - len(escape.lstrip("\\"))
    return slashes % 2 == 1


def _keep(text: str, part: Part, value: str, end: int, flag: str) -> None:
    if encodable(value) and holds(text, value, part.start, end, part.codec):
        part.value, part.end, part.lost = value, end, ""
        part.flags = (*part.flags, CUT, flag)


def _mapped(raw: str, codec: Codec) -> tuple[str, list[int]]:
    text, offsets = raw, list(range(len(raw) + 1))
    for dialect in codec or (PLAIN,):
        text, inner = unescape_mapped(text, dialect)
        offsets = [offsets[at] for at in inner]
    return text, offsets


def hidden(text: str, drafts: list[Draft], finish_reason: str | None) -> None:
    """Finds the cut that a closed string hides: the server stopped, and the last text stops inside a sentence.

    Without a `finish_reason` the last text of the reply is flagged `no_sentence_end` instead: a model may well
    leave out a full stop, and only the server knows.
    """
    if not drafts:
        return
    last = max(drafts[-1].parts.values(), key=lambda part: part.end, default=None)
    if last is None or last.lost or not isinstance(last.value, str):
        return
    stripped = last.value.rstrip()
    if stripped and stripped[-1] in CLOSED:
        return
    if finish_reason == "length" and not text[last.end + 1 :].strip(" \t\r\n}])`\"',"):
        last.lost = CUT
    else:
        last.flags = (*last.flags, "no_sentence_end")
