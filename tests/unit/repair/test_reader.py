"""Reading one text: the shapes that models write, and what must be refused."""

from __future__ import annotations

import json

import pytest

from relearn.repair.json import RecordSchema, RecordsInText, read_records

SCHEMA = RecordSchema.of_texts(["agree", "disagree"])


def texts(raw: str, finish_reason: str | None = None) -> list[dict[str, str]]:
    """The whole fields of each record, after checking that each is where it says."""
    reading = read_records(raw, SCHEMA, finish_reason)
    return [
        {name: field.value for name, field in record.fields.items() if not field.lost} for record in reading.records
    ]


def lost(reading: RecordsInText) -> dict[str, str]:
    """Why fields were refused."""
    return {name: field.lost for record in reading.records for name, field in record.fields.items() if field.lost}


BOTH = {"agree": 'I agree, "yes".', "disagree": "It's not so."}


@pytest.mark.parametrize(
    "raw",
    [
        '{"agree": "I agree, \\"yes\\".", "disagree": "It\'s not so."}',
        '```json\n{"agree": "I agree, \\"yes\\".", "disagree": "It\'s not so."}\n```',
        'Sure! Here it is:\n{"agree": "I agree, \\"yes\\".", "disagree": "It\'s not so."}\nHope "this" helps.',
        '{"agree": "I agree, "yes".", "disagree": "It\'s not so."}',
        '{"agree": "I agree, \\"yes\\".", "disagree": "It\'s not so.",}',
        '{"agree": "I agree, \\"yes\\"." "disagree": "It\'s not so."}',
        '{"agree": "I agree, \\"yes\\".", "disagree": "It\'s not so."',
        "{'agree': 'I agree, \"yes\".', 'disagree': 'It's not so.'}",
        "{'agree': 'I agree, \"yes\".', 'disagree': \"It's not so.\"}",
        '{“agree”: “I agree, "yes".”, “disagree”: “It\'s not so.”}',
        '{agree: "I agree, \\"yes\\".", disagree: "It\'s not so."}',
        '{"Agree": "I agree, \\"yes\\".", "disagree_response": "It\'s not so."}',
        '{"reply": {"agree": {"text": "I agree, \\"yes\\"."}, "disagree": {"text": "It\'s not so."}}}',
        '[{"agree": "I agree, \\"yes\\"."}, {"disagree": "It\'s not so."}]',
        '{"agree": "I agree, \\"yes\\".", // the first\n "disagree": "It\'s not so." /* the other */}',
        '"{\\"agree\\": \\"I agree, \\\\\\"yes\\\\\\".\\", \\"disagree\\": \\"It\'s not so.\\"}"',
        '{"ok": True, "agree": "I agree, \\"yes\\".", "n": None, "disagree": "It\\\'s not so."}',
        '[{"stance": "agree", "text": "I agree, \\"yes\\"."}, {"stance": "disagree", "text": "It\'s not so."}]',
    ],
)
def test_shapes_that_models_write(raw: str) -> None:
    assert texts(raw) == [BOTH]


SHOWN = {"agree": "Yes, fine.", "disagree": 'Answer as {"agree": "why", "disagree": "why not"}, please.'}
QUOTING = json.dumps(SHOWN)


@pytest.mark.parametrize(
    ("raw", "count"),
    [
        (f"{QUOTING}\n{QUOTING}\n", 2),
        (f"```json\n{QUOTING}\n```", 1),
        (f"{QUOTING}\n\nHope it helps.", 1),
        (f"[{QUOTING},]", 1),
        (QUOTING[:-1] + ",}", 1),
        (QUOTING[:-1], 1),
        ('{"note": "{\\"agree\\": \\"a note\\"}", ' + QUOTING[1:] + "\nHope it helps.", 1),
        ("Reply: " + json.dumps({"id": 7, "content": QUOTING}) + "\nHope it helps.", 1),
        (str([QUOTING, QUOTING]), 2),
    ],
)
def test_json_that_a_text_quotes_is_part_of_the_text(raw: str, count: int) -> None:
    assert texts(raw) == [SHOWN] * count


@pytest.mark.parametrize(
    "raw",
    [
        '{"agree": "Yes.", "disagree": "The film was',
        '{"agree": "Yes.", "disagree": "The film was\n```',
        '{"agree": "Yes.", "disagree": "The film was\n}\n```',
        '{"agree": "Yes.", "disagree": "He said "no"',
        '{"agree": "Yes.", "disagree": "He said "',
        '{"agree": "Yes.", "disagree": "x = {"a": "b"}',
        "{'agree': 'Yes.', 'disagree': 'I don'",
    ],
)
def test_a_cut_text_is_never_kept_as_whole(raw: str) -> None:
    assert texts(raw) == [{"agree": "Yes."}]
    assert set(lost(read_records(raw, SCHEMA))) == {"disagree"}


@pytest.mark.parametrize(
    "raw",
    [
        '{"agree": "Yes, it is.", COMMENT "disagree": "no "good", sic." }',
        '{"agree": "Yes, it is.", 5: "value"}',
        '{"agree": "Yes, it is.", "other": "a "b" c" d", ["x"] }',
        '{"agree": "Yes, b: "second"}',
    ],
)
def test_members_that_run_together_are_refused(raw: str) -> None:
    assert all("second" not in value and '",' not in value for text in texts(raw) for value in text.values())


@pytest.mark.parametrize(
    "end",
    ['"', '",', '", "dis', '", "disagree', '", "disagree"', '", "disagree":', '", "disagree": "', '", "disagree": "\n```'],
)  # fmt: skip
def test_a_text_that_ends_between_two_fields(end: str) -> None:
    assert texts('{"agree": "Yes, it is.' + end) == [{"agree": "Yes, it is."}]


def test_a_dump_that_repeats_itself() -> None:
    first = '{"agree": "A.", "disagree": "B."}'
    cut = '{"agree": "C.", "disagree": "D was'
    raw = f"{first}\n{first}\n{cut}\n{first}\n{cut}"
    ab = {"agree": "A.", "disagree": "B."}
    assert texts(raw) == [ab, ab, {"agree": "C."}, ab, {"agree": "C."}]


def test_a_list_of_strings_as_python_writes_it() -> None:
    replies = ['{\n "agree": "It\'s a\\nb", "disagree": "d"}', '{\n "agree": "c", "disagree": "d"}']
    assert texts(str(replies)) == [{"agree": "It's a\nb", "disagree": "d"}, {"agree": "c", "disagree": "d"}]


def test_a_text_on_which_json_repair_fails_an_assertion_of_its_own() -> None:
    schema = RecordSchema({"answer": "string", "confidence": "number"})
    (record,) = read_records('{"confidence":b"e:“”“```json{}```', schema).records
    assert {name: field.lost for name, field in record.fields.items()} == {"confidence": "wrong_type"}
