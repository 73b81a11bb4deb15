"""The pipeline's repair: every reply and field ends kept or quarantined."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relearn.errors import InputError
from relearn.files import dump_line
from relearn.params.prepare import NearDuplicates
from relearn.params.repair import TaskRepair
from relearn.records import NewRow, Quarantined, Reply, Source
from relearn.repair.json import load_task_schema
from relearn.repair.replies import ReplyRepairer, ReplyTask, pair_with_sources

SOURCES = {
    ("film", name): Source(
        id=name, task="film", group=name, label=None, split="train",
        fields={"text": f"The film {name} is {{agree}} good, and I liked every minute of it a lot."},
    )
    for name in ("a", "b", "c", "d")
}  # fmt: skip
GOOD = {"agree": "I feel the same about the acting in it.", "disagree": "I was bored by the acting all evening."}
PAIR = {
    "rows": [
        {"name": "agree", "instruction": "Agree: {text}", "response": "agree"},
        {"name": "disagree", "instruction": "Disagree: {text}", "response": "disagree"},
    ],
    "checks": [
        {"kind": "refusal"},
        {"kind": "length", "min": 10, "max": 400},
        {"kind": "boilerplate", "phrases": ["as an ai"]},
        {"kind": "contradiction", "sides": {"agree": "agree", "disagree": "disagree"}},
        {"kind": "echo", "of": "text", "share": 0.5},
        {"kind": "similarity", "rows": ["agree", "disagree"], "share": 0.9},
    ],
}
TICKET = {
    "type": "object",
    "properties": {
        "mood": {"enum": ["calm", "cross"]},
        "steps": {"type": "array", "items": {"type": "string"}},
        "answer": {"type": "string"},
    },
    "required": ["mood", "steps", "answer"],
}
SUPPORT = {
    "rows": [
        {"name": "mood", "instruction": "Is this calm or cross?\n\n{text}", "response": "mood"},
        {"name": "steps", "instruction": "What is to be done?\n\n{text}", "response": "steps"},
        {"name": "answer", "instruction": "Do this:\n{steps}\nand answer the {mood} writer of:\n{text}", "response": "answer"},
    ],
    "checks": [{"kind": "length", "min": 4, "max": 400}],
}  # fmt: skip
RECORD = {"mood": "cross", "steps": ["Say sorry.", "Send a {text}."], "answer": "We are sorry, and send another."}


def task(tmp_path: Path, params: dict[str, Any], schema: dict[str, Any] | None = None) -> ReplyTask:
    pair = {"type": "object", "properties": {name: {"type": "string"} for name in GOOD}}
    (tmp_path / "own.json").write_text(json.dumps(schema or pair))
    return ReplyTask("film", load_task_schema(tmp_path / "own.json")[1], TaskRepair.model_validate(params), ["text"])


def reply(content: str | None, name: str = "a", finish: str | None = "stop", refusal: str | None = None) -> Reply:
    return Reply(
        id=name, task="film", content=content, finish_reason=finish, model="m", usage=None, request="x", refusal=refusal
    )


def with_sources(replies: Iterable[Reply]) -> Iterator[tuple[Reply, Source | None]]:
    """Each reply with its source, which may have many here."""
    return ((one, SOURCES.get((one.task, one.id))) for one in replies)


class Repaired:
    """What became of some replies."""

    def __init__(self, film: ReplyTask, *replies: Reply, truncated: str = "drop", near: Any = None,
        duplicates: str = "drop") -> None:  # fmt: skip
        repairer = ReplyRepairer({"film": film}, truncated, duplicates, near)
        rows = [(row.split, json.loads(row.line)) for row in repairer.repair_all(with_sources(replies))]
        self.kept = [NewRow.model_validate(row) for split, row in rows if split is not None]
        self.refused = [Quarantined.model_validate(row) for split, row in rows if split is None]
        self.summary: Any = repairer.ledger.as_dict()


@pytest.fixture
def film(tmp_path: Path) -> ReplyTask:
    return task(tmp_path, PAIR)


@pytest.fixture
def support(tmp_path: Path) -> ReplyTask:
    return task(tmp_path, SUPPORT, TICKET)


def test_a_good_reply_becomes_two_rows(film: ReplyTask) -> None:
    found = Repaired(film, reply(json.dumps(GOOD)))
    kept, summary = found.kept, found.summary
    assert [(row.id, row.template, row.response, row.split, row.flags) for row in kept] == [
        ("a-agree", "agree", GOOD["agree"], "train", []),
        ("a-disagree", "disagree", GOOD["disagree"], "train", []),
    ]
    # The source is data: braces in it are no placeholders.
    assert kept[0].instruction == f"Agree: {SOURCES['film', 'a'].fields['text']}"
    assert (kept[0].source, kept[0].group, kept[0].role, kept[0].task) == ("a", "a", "new", "film")
    assert found.refused == []
    assert summary["counts"]["rows"] == summary["counts"]["rows_kept"] == 2


@pytest.mark.parametrize(
    ("content", "finish", "refusal", "reason"),
    [
        ("", "stop", None, "empty"),
        (None, "content_filter", None, "content_filter"),
        ("", "SAFETY", None, "content_filter"),
        (None, "stop", "I can't do that.", "refusal"),
        ("I'm sorry, but I can't assist with that.", "stop", None, "refusal"),
        ("What a film!", "stop", None, "no_record"),
        ('{"agree": "I feel', "length", None, "cut_off"),
        ('{"review": "it was', "length", None, "cut_off"),
        ('{"agree": 1, "disagree": 2}', "stop", None, "wrong_type"),
    ],
)
def test_a_reply_refused_as_a_whole(
    film: ReplyTask, content: str | None, finish: str, refusal: str | None, reason: str
) -> None:
    found = Repaired(film, reply(content, finish=finish, refusal=refusal))
    assert found.kept == []
    (row,) = found.refused
    assert (row.row, row.field, row.reason, row.content) == (None, None, reason, content or refusal or "")
    assert found.summary["counts"]["rows_quarantined"] == 2
    assert found.summary["reasons"] == {reason: 2}


@pytest.mark.parametrize(
    ("agree", "reason"),
    [
        ("Yes.", "too_short"),
        ("I feel the same. " * 40, "too_long"),
        ("As an AI I feel the same about it.", "refusal"),
        ("Well, as an AI I feel the same about it.", "boilerplate"),
        ("I strongly disagree with this view of it.", "contradiction"),
        ("I think you are wrong about the acting.", "contradiction"),
        ("and I liked every minute of it a lot, yes", "echo"),
        (GOOD["disagree"], "agree_is_disagree"),
    ],
)
def test_content_checks(film: ReplyTask, agree: str, reason: str) -> None:
    found = Repaired(film, reply(json.dumps({**GOOD, "agree": agree})))
    refused = found.refused[0]
    assert (refused.row, refused.field, refused.reason) == ("agree", "agree", reason)
    assert refused.content == json.dumps(agree)[1:-1]
    assert len(found.kept) == (0 if reason == "agree_is_disagree" else 1)


def test_the_second_of_two_equal_texts_goes(film: ReplyTask) -> None:
    found = Repaired(film, reply(json.dumps(GOOD)), reply(json.dumps(GOOD), "b"))
    assert {row.source for row in found.kept} == {"a"}
    assert [row.reason for row in found.refused] == ["duplicate", "duplicate"]
    assert found.summary["reasons"] == {"duplicate": 2}


def test_equal_texts_of_different_sources_are_kept_where_the_profile_says_so(film: ReplyTask) -> None:
    found = Repaired(film, reply(json.dumps(GOOD)), reply(json.dumps(GOOD), "b"), duplicates="keep")
    assert [row.id for row in found.kept] == ["a-agree", "a-disagree", "b-agree", "b-disagree"]
    # One source's text twice is a repeat all the same.
    found = Repaired(film, reply(json.dumps(GOOD)), reply(json.dumps(GOOD)), duplicates="keep")
    assert [row.reason for row in found.refused] == ["duplicate", "duplicate"]


def test_near_duplicates_name_their_neighbour(film: ReplyTask) -> None:
    other = {key: value + " Indeed." for key, value in GOOD.items()}
    near = NearDuplicates(threshold=0.6, permutations=128)
    found = Repaired(film, reply(json.dumps(GOOD)), reply(json.dumps(other), "b"), near=near)
    assert len(found.kept) == 2
    assert [row.reason for row in found.refused] == ["near_duplicate of a-agree", "near_duplicate of a-disagree"]
    assert found.summary["reasons"] == {"near_duplicate": 2}


def test_cut_text_under_each_policy(film: ReplyTask) -> None:
    raw = json.dumps(GOOD)[:-2] + " It is dull. And I would"
    for policy, text in (
        ("drop", None),
        ("trim", GOOD["disagree"] + " It is dull."),
        ("keep", GOOD["disagree"] + " It is dull. And I would"),
    ):
        found = Repaired(film, reply(raw, finish="length"), truncated=policy)
        texts = {row.template: row.response for row in found.kept}
        assert texts.get("disagree") == text
        assert [row.reason for row in found.refused] == (["cut_off"] if text is None else [])


def test_a_cut_behind_a_closed_string(film: ReplyTask) -> None:
    """Somebody closed the string and the object after the server had stopped."""
    raw = json.dumps({**GOOD, "disagree": "I think you are wrong about the"})
    found = Repaired(film, reply(raw, finish="length"))
    assert [row.template for row in found.kept] == ["agree"]
    assert [(row.field, row.reason) for row in found.refused] == [("disagree", "cut_off")]
    assert "no_sentence_end" in Repaired(film, reply(raw, finish=None)).kept[1].flags


def test_two_records_in_one_reply(film: ReplyTask) -> None:
    other = {"agree": "A second thought about the same film.", "disagree": GOOD["disagree"]}
    found = Repaired(film, reply(json.dumps(GOOD) + "\n" + json.dumps(other)))
    assert [row.response for row in found.kept] == list(GOOD.values())
    assert "several_texts" in found.kept[0].flags
    assert "repeated" in found.kept[1].flags
    assert [(row.field, row.reason, row.content) for row in found.refused] == [("agree", "extra_text", other["agree"])]
    assert found.summary["counts"]["extra_texts"] == 1


def test_a_record_inside_the_answer_is_kept_aside_and_one_inside_half_an_answer_is_learned(film: ReplyTask) -> None:
    inner = {"agree": "A second thought about the same film.", "disagree": "It bored me to tears, every minute."}
    whole = Repaired(film, reply(json.dumps({**GOOD, "more": [inner], "scores": {"agree": 0.9}})))
    assert [row.response for row in whole.kept] == list(GOOD.values())
    assert [(row.reason, row.content) for row in whole.refused] == [
        ("nested", '{"agree": 0.9}'),
        ("extra_text", inner["agree"]),
        ("extra_text", inner["disagree"]),
    ]
    half = Repaired(film, reply(json.dumps({"agree": None, "more": [inner]})))
    assert [row.response for row in half.kept] == list(inner.values())


def test_a_line_is_that_of_its_row(film: ReplyTask, support: ReplyTask) -> None:
    for name, task, record in (
        ("film", film, GOOD),
        ("film", support, {**RECORD, "answer": 'Sorry \u2028 "é"\n\x00.'}),
    ):
        repairer = ReplyRepairer({name: task}, "drop", "drop", None)
        asked = with_sources([reply(json.dumps(record), "c", "length")])
        lines = [row.line for row in repairer.repair_all(asked)]
        assert len(lines) == len(task.rows)
        for line in lines:
            assert line == dump_line(NewRow.model_validate_json(line))


def test_replies_find_their_sources_in_any_order() -> None:
    def pairs(names: str) -> list[tuple[str, str | None]]:
        found = pair_with_sources((reply("", name) for name in names), SOURCES.values(), {"film"})
        return [(one.id, None if source is None else source.id) for one, source in found]

    assert pairs("abcd") == [(name, name) for name in "abcd"]
    assert pairs("bd") == [("b", "b"), ("d", "d")]
    assert pairs("dxba") == [("d", "d"), ("x", None), ("b", "b"), ("a", "a")]
    assert pairs("aba") == [("a", "a"), ("b", "b"), ("a", None)]


def test_only_the_sources_that_are_passed_over_are_read_ahead() -> None:
    read = []

    def sources() -> Iterator[Source]:
        for source in SOURCES.values():
            read.append(source.id)
            yield source

    for count, name in enumerate("abcd", 1):
        read.clear()
        list(pair_with_sources([reply("", one) for one in "abcd"[:count]], sources(), {"film"}))
        assert read == list("abcd"[:count]), name


def test_the_sums_hold_over_many_replies(film: ReplyTask) -> None:
    contents = [
        json.dumps(GOOD), "", "no", json.dumps({"agree": "I feel the same about it."}), "{'agree': 'I feel",
        json.dumps(GOOD).replace('"}', ""), "[]", json.dumps([{"agree": "Such a film it was."}]),
    ]  # fmt: skip
    replies = [reply(content, name) for content in contents for name in ("a", "b", "c", "d", "unknown")]
    found = Repaired(film, *replies)
    counts = found.summary["counts"]
    assert counts["replies"] == len(replies)
    assert counts["rows"] == 2 * len(replies) == len(found.kept) + counts["rows_quarantined"]
    assert len(found.refused) == counts["quarantine_rows"]
    assert found.summary["reasons"]["unknown_source"] == 2 * len(contents)


def test_a_record_of_a_choice_a_list_and_a_text_becomes_three_rows(support: ReplyTask) -> None:
    found = Repaired(support, reply(json.dumps(RECORD)))
    text = SOURCES["film", "a"].fields["text"]
    assert [(row.id, row.instruction, row.response) for row in found.kept] == [
        ("a-mood", f"Is this calm or cross?\n\n{text}", "cross"),
        ("a-steps", f"What is to be done?\n\n{text}", "Say sorry.\nSend a {text}."),
        ("a-answer", f"Do this:\nSay sorry.\nSend a {{text}}.\nand answer the cross writer of:\n{text}", RECORD["answer"]),
    ]  # fmt: skip
    assert found.refused == []


def test_a_lost_field_takes_every_row_that_needs_it(support: ReplyTask) -> None:
    found = Repaired(support, reply(json.dumps({**RECORD, "mood": "angry"})))
    assert [row.template for row in found.kept] == ["steps"]
    assert [(row.row, row.field, row.reason, row.content) for row in found.refused] == [
        ("mood", "mood", "not_in_enum", "angry"),
        ("answer", "mood", "not_in_enum", "angry"),
    ]
    assert found.summary["counts"]["rows_quarantined_alone"] == 2


def test_a_choice_may_be_the_same_for_two_sources_a_text_may_not(support: ReplyTask) -> None:
    found = Repaired(support, reply(json.dumps(RECORD)), reply(json.dumps(RECORD), "b"), reply(json.dumps(RECORD)))
    assert [row.id for row in found.kept] == ["a-mood", "a-steps", "a-answer", "b-mood"]
    assert {row.reason for row in found.refused} == {"duplicate"}


def test_fields_that_meet_in_a_row_come_from_one_record(support: ReplyTask) -> None:
    half = {"mood": "calm", "answer": "That is well."}
    found = Repaired(support, reply(json.dumps([half, RECORD])))
    assert [row.response for row in found.kept] == ["cross", "Say sorry.\nSend a {text}.", RECORD["answer"]]
    assert [(row.field, row.reason, row.content) for row in found.refused] == [
        ("mood", "extra_text", "calm"),
        ("answer", "extra_text", "That is well."),
    ]


def test_an_empty_response_is_never_learned(tmp_path: Path) -> None:
    found = Repaired(task(tmp_path, {**SUPPORT, "checks": []}, TICKET), reply(json.dumps({**RECORD, "steps": []})))
    assert [(row.row, row.reason) for row in found.refused] == [("steps", "empty")]


def test_numbers_and_booleans_are_written_as_json(tmp_path: Path) -> None:
    kinds = {"rating": "integer", "share": "number", "sure": "boolean"}
    schema = {"type": "object", "properties": {name: {"type": kind} for name, kind in kinds.items()}}
    rows = [{"name": name, "instruction": "{{text}} {text} {", "response": name} for name in kinds]
    found = Repaired(
        task(tmp_path, {"rows": rows, "checks": []}, schema), reply('{"rating": 4, "share": 0.5, "sure": true}')
    )
    assert [row.response for row in found.kept] == ["4", "0.5", "true"]
    assert found.kept[0].instruction == f"{{text}} {SOURCES['film', 'a'].fields['text']} {{"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rows": [{"name": "x", "instruction": "{txt}", "response": "mood"}]}, "repair.film.rows: instruction of the row x: {txt} is not a field; choose from text, mood, steps, answer"),
        ({"rows": [{"name": "x", "instruction": "{text}", "response": "text"}]}, "repair.film.rows: response of the row x: text is not a field of the record; choose from mood, steps, answer"),
        ({"checks": [{"kind": "echo", "of": "review", "share": 0.5}]}, "repair.film.checks: echo: review is not a field of the source; choose from text"),
        ({"checks": [{"kind": "contradiction", "sides": {"mood": "left"}}]}, "repair.film.checks: contradiction: no words are known for left; the sides are agree, disagree"),
    ],
)  # fmt: skip
def test_a_name_that_there_is_not_is_told_in_one_line(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        task(tmp_path, {**SUPPORT, **change}, TICKET)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_field_of_both_is_told(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    with pytest.raises(
        InputError, match=r"repair\.film\.rows: .*\{text\} is a field of both the source and the record"
    ):
        task(tmp_path, {"rows": [{"name": "x", "instruction": "{text}", "response": "text"}], "checks": []}, schema)


def test_a_reply_without_a_text_is_quarantined_raw(film: ReplyTask) -> None:
    raw = '{"content": null, "reasoning_content": "Paid for."}'
    found = Repaired(film, reply(None).model_copy(update={"raw": raw}))
    assert [(row.reason, row.content) for row in found.refused] == [("only_reasoning", raw)]
