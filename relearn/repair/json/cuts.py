"""Text that the reply ends inside: what is done with it, and how a hidden cut is found.

A server that stopped at its token limit says so (`finish_reason` is `length`), but dumps seldom keep that, and
a fence or a brace added after the cut hides it. The readers find an unclosed string; here is the rest.
"""

from __future__ import annotations

import re

from relearn.repair.json.records import FoundRecord
from relearn.repair.json.verbatim import is_encodable, is_slice, unescape_mapped

CUT = "cut_off"
SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*+(?=\s+[\"'“‘(\[]*[^\sa-z])")
ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|sr|jr|vs|etc|e\.g|i\.e|vol|fig|cf|al)|(?:^|[\s.])[A-Z])\.$", re.IGNORECASE
)
CLOSED = ".!?…)]}\"'”’`*"
HALF_ESCAPE = re.compile(r"\\+(?:u[0-9a-fA-F]{0,3}|U[0-9a-fA-F]{0,7}|x[0-9a-fA-F]?)?$")


def measure_whole_sentences(text: str) -> int:
    """The length of the text up to the end of its last sentence that something follows; 0 when there is none.

    A full stop at the very end does not prove a whole sentence: "3." may go on as "3.5".
    """
    end = 0
    for match in SENTENCE_END.finditer(text):
        if not ABBREVIATION.search(text[max(0, match.start() - 8) : match.start() + 1]):
            end = match.end()
    return end


def keep_cut_text(text: str, records: list[FoundRecord], policy: str) -> None:
    """Keeps what there is of cut texts, as `repair.truncated` (trim, keep) says; the flags say what was done."""
    for field in [field for record in records for field in record.fields.values()]:
        if field.lost != CUT or field.items is not None or not field.codec:
            continue
        raw = text[field.start : field.end].rstrip()
        half = HALF_ESCAPE.search(raw)
        if half is not None and (len(half.group()) - len(half.group().lstrip("\\"))) % 2:
            raw = raw[: half.start()]
        value, offsets = raw, list(range(len(raw) + 1))
        for dialect in field.codec:
            value, inner = unescape_mapped(value, dialect)
            offsets = [offsets[at] for at in inner]
        if policy == "trim":
            value = value[: measure_whole_sentences(value)]
        end = field.start + offsets[len(value)]
        if value and is_encodable(value) and is_slice(text, value, field.start, end, field.codec):
            field.value, field.end, field.lost = value, end, ""
            field.flags = (*field.flags, CUT, "trimmed" if policy == "trim" else "kept_cut")


def mark_hidden_cut(text: str, records: list[FoundRecord], finish_reason: str | None) -> None:
    """Finds the cut that a closed string hides: the server stopped, and the last text stops inside a sentence.

    Without a `finish_reason` the last text of the reply is flagged `no_sentence_end` instead: a model may well
    leave out a full stop, and only the server knows.
    """
    fields = (field for record in records for field in record.fields.values())
    last = max(fields, key=lambda field: field.end, default=None)  # of a record inside another, this may be the outer's
    if last is None or last.lost or not isinstance(last.value, str):
        return
    stripped = last.value.rstrip()
    if stripped and stripped[-1] in CLOSED:
        return
    if finish_reason == "length" and not text[last.end + 1 :].strip(" \t\r\n}])`\"',"):
        last.lost = CUT
    else:
        last.flags = (*last.flags, "no_sentence_end")
