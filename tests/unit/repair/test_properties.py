"""Properties of the reader over arbitrary text: no exception, nothing invented, nothing lost."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relearn.repair.dump import DumpText
from relearn.repair.json import RecordSchema
from relearn.repair.json.verbatim import CSV, JSON, LOOSE, PLAIN, PYTHON, decode
from relearn.repair.rows import DumpRepairer

SCHEMAS = (
    RecordSchema.of_texts(["agree", "disagree"]),
    RecordSchema({"answer": "string", "confidence": "number", "ok": "boolean", "tags": "strings"}),
)
PIECES = st.sampled_from(
    [
        '{"agree": "', '", "disagree": "', '"}', "'agree': '", "', 'disagree': '", "```json\n", "```", "{", "}", "[",
        "]", '"confidence": 0.5', '"tags": ["a", "b"]', '"answer": "', "“agree”: “", "”, “disagree”: “", "//", "# x\n",
        "agree: ", '"ok": True, ', "\\n", "\\", '""', "[{", "}]", '"{', "'{", "\\u00e9", "\n", '"""', ".", " it's ",
        '\\"agree\\": \\"', '""agree"": ""', "text", ",", ":", '"a": {"b": 1}, ',
    ]
)  # fmt: skip
RAW = st.one_of(st.text(max_size=80), st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=25).map("".join))
CODECS = [(one,) for one in (JSON, PYTHON, LOOSE, PLAIN)] + [
    (outer, inner) for outer in (JSON, PYTHON, CSV) for inner in (JSON, PYTHON, LOOSE, PLAIN)
]


def stands_there(text: str, value: str, start: int, end: int) -> bool:
    """Whether some way of undoing escapes (up to three levels) turns the slice into the value."""
    codecs = [*CODECS, *((JSON, *codec) for codec in CODECS), *((PYTHON, *codec) for codec in CODECS)]
    return any(decode(text[start:end], codec) == value for codec in codecs)


@settings(max_examples=250, deadline=None)
@given(RAW, st.sampled_from(SCHEMAS), st.sampled_from(["drop", "trim", "keep"]), st.sampled_from([None, "length"]))
def test_any_text(text: str, schema: RecordSchema, policy: str, finish: str | None) -> None:
    rows = DumpRepairer(schema, policy)
    for kept, row in rows.repair(DumpText(text, finish_reason=finish)):
        json.dumps(row)
        if not kept:
            assert row["content"] == text[row["source"]["start"] : row["source"]["end"]]
            continue
        assert row["fields"]
        for name, place in row["source"]["offsets"].items():
            value = row["fields"][name]
            if isinstance(value, str):
                assert stands_there(text, value, place["start"], place["end"])
            elif isinstance(value, list):
                for item, span in zip(value, place["items"], strict=True):
                    assert stands_there(text, item, span["start"], span["end"])
            else:
                assert json.loads(text[place["start"] : place["end"]].lower()) == value
    rows.ledger.as_dict()


SENTENCES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50)


@settings(max_examples=200, deadline=None)
@given(SENTENCES, SENTENCES, st.sampled_from([None, 2]), st.booleans())
def test_valid_json_comes_back_as_it_is(agree: str, disagree: str, indent: int | None, ascii_only: bool) -> None:
    record = {"agree": agree, "disagree": disagree}
    raw = json.dumps(record, indent=indent, ensure_ascii=ascii_only)
    rows = [row for kept, row in DumpRepairer(SCHEMAS[0]).repair(DumpText(raw)) if kept]
    assert [row["fields"] for row in rows] == [record]


@settings(max_examples=150, deadline=None)
@given(SENTENCES, SENTENCES, st.integers(min_value=1, max_value=60))
def test_a_cut_field_is_never_whole(agree: str, disagree: str, cut: int) -> None:
    raw = json.dumps({"agree": agree, "disagree": disagree})
    closing = len(raw) - 2
    text = raw[: max(closing - cut, raw.rindex(': "') + 3)]
    if text.endswith(('"', "“", "”", "„", "‟", "″")):
        return
    rows = [row for kept, row in DumpRepairer(SCHEMAS[0]).repair(DumpText(text)) if kept]
    assert all("disagree" not in row["fields"] for row in rows)


@pytest.mark.parametrize("unit", ["{", "[", '"', "\\", "```json\n", '{"agree": ', "'{", '"a": "b", ', '\\"', '""'])
def test_time_is_linear(unit: str) -> None:
    import time

    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        start = time.process_time()
        for _ in DumpRepairer(SCHEMAS[0]).repair(DumpText(text)):
            pass
        return time.process_time() - start

    seconds(1000)
    # The quickest of three: what else the machine does only ever adds.
    small, large = (min(seconds(size) for _ in range(3)) for size in (20_000, 160_000))
    # Eight times the text may take eight times as long, with room for noise; quadratic would take sixty-four.
    assert large < 24 * max(small, 0.01)
