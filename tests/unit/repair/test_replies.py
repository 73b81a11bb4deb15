"""The pipeline's repair: every reply and field ends kept or quarantined."""

from __future__ import annotations

import json

import pytest

from relearn.params.prepare import NearDuplicates
from relearn.params.repair import InstructionTexts, Repair
from relearn.records import Instruction, Quarantined, Reply, Review
from relearn.repair.replies import ReplyRepairer

REVIEWS = {
    name: Review(id=name, text=f"The film {name} is {{review}} good, and I liked every minute of it a lot.", label="p", split="train")
    for name in ("a", "b", "c", "d")
}  # fmt: skip
GOOD = {"agree": "I feel the same about the acting in it.", "disagree": "I think you are wrong about the acting."}


def params(**changes: object) -> Repair:
    values: dict[str, object] = {
        "truncated": "drop", "min_chars": 10, "max_chars": 400, "echo": 0.5, "similarity": 0.9, "contradictions": True,
        "boilerplate": ["as an ai"], "near_duplicates": None,
        "instructions": InstructionTexts(agree="Agree: {review}", disagree="Disagree: {review}"),
    }  # fmt: skip
    return Repair.model_validate(values | changes)


def reply(content: str | None, name: str = "a", finish: str | None = "stop", refusal: str | None = None) -> Reply:
    return Reply(id=name, content=content, finish_reason=finish, model="m", usage=None, request="x", refusal=refusal)


def repaired(*replies: Reply, **changes: object) -> tuple[list[Instruction], list[Quarantined], dict[str, object]]:
    repairer = ReplyRepairer(REVIEWS, params(**changes))
    rows = list(repairer.repair_all(replies))
    kept = [row for row in rows if isinstance(row, Instruction)]
    return kept, [row for row in rows if isinstance(row, Quarantined)], repairer.ledger.as_dict()


def test_a_good_reply_becomes_two_instructions() -> None:
    kept, refused, summary = repaired(reply(json.dumps(GOOD)))
    assert [(row.id, row.stance, row.response, row.split, row.flags) for row in kept] == [
        ("a-agree", "agree", GOOD["agree"], "train", []),
        ("a-disagree", "disagree", GOOD["disagree"], "train", []),
    ]
    # The review is data: braces in it are no placeholders.
    assert kept[0].instruction == f"Agree: {REVIEWS['a'].text}"
    assert refused == []
    assert summary["counts"]["fields"] == summary["counts"]["fields_kept"] == 2  # type: ignore[index]


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
def test_a_reply_refused_as_a_whole(content: str | None, finish: str, refusal: str | None, reason: str) -> None:
    kept, refused, summary = repaired(reply(content, finish=finish, refusal=refusal))
    assert kept == []
    (row,) = refused
    assert (row.field, row.reason, row.content) == (None, reason, content or refusal or "")
    counts = summary["counts"]
    assert counts["fields_quarantined"] == 2  # type: ignore[index]
    assert summary["reasons"] == {reason: 2}


@pytest.mark.parametrize(
    ("agree", "reason"),
    [
        ("Yes.", "too_short"),
        ("I feel the same. " * 40, "too_long"),
        ("As an AI I feel the same about it.", "refusal"),
        ("Well, as an AI I feel the same about it.", "boilerplate"),
        ("I strongly disagree with this view of it.", "contradiction"),
        ("and I liked every minute of it a lot, yes", "echo"),
        (GOOD["disagree"], "agree_is_disagree"),
    ],
)
def test_content_checks(agree: str, reason: str) -> None:
    kept, refused, _ = repaired(reply(json.dumps({**GOOD, "agree": agree})))
    assert refused[0].field == "agree"
    assert refused[0].reason == reason
    assert refused[0].content == json.dumps(agree)[1:-1]
    assert len(kept) == (0 if reason == "agree_is_disagree" else 1)


def test_the_second_of_two_equal_texts_goes() -> None:
    kept, refused, summary = repaired(reply(json.dumps(GOOD)), reply(json.dumps(GOOD), "b"))
    assert {row.review_id for row in kept} == {"a"}
    assert [row.reason for row in refused] == ["duplicate", "duplicate"]
    assert summary["reasons"] == {"duplicate": 2}


def test_near_duplicates_name_their_neighbour() -> None:
    other = {key: value + " Indeed." for key, value in GOOD.items()}
    near = NearDuplicates(threshold=0.6, permutations=128)
    kept, refused, summary = repaired(
        reply(json.dumps(GOOD)), reply(json.dumps(other), "b"), near_duplicates=near.model_dump()
    )
    assert len(kept) == 2
    assert [row.reason for row in refused] == ["near_duplicate of a-agree", "near_duplicate of a-disagree"]
    assert summary["reasons"] == {"near_duplicate": 2}


def test_cut_text_under_each_policy() -> None:
    raw = json.dumps(GOOD)[:-2] + " It is dull. And I would"
    for policy, text in (
        ("drop", None),
        ("trim", GOOD["disagree"] + " It is dull."),
        ("keep", GOOD["disagree"] + " It is dull. And I would"),
    ):
        kept, refused, _ = repaired(reply(raw, finish="length"), truncated=policy)
        texts = {row.stance: row.response for row in kept}
        assert texts.get("disagree") == text
        assert [row.reason for row in refused] == (["cut_off"] if text is None else [])


def test_a_cut_behind_a_closed_string() -> None:
    """Somebody closed the string and the object after the server had stopped."""
    raw = json.dumps({**GOOD, "disagree": "I think you are wrong about the"})
    kept, refused, _ = repaired(reply(raw, finish="length"))
    assert [row.stance for row in kept] == ["agree"]
    assert [(row.field, row.reason) for row in refused] == [("disagree", "cut_off")]
    kept, _, _ = repaired(reply(raw, finish=None))
    assert "no_sentence_end" in kept[1].flags


def test_two_records_in_one_reply() -> None:
    other = {"agree": "A second thought about the same film.", "disagree": GOOD["disagree"]}
    kept, refused, summary = repaired(reply(json.dumps(GOOD) + "\n" + json.dumps(other)))
    assert [row.response for row in kept] == list(GOOD.values())
    assert "several_texts" in kept[0].flags
    assert "repeated" in kept[1].flags
    assert [(row.field, row.reason, row.content) for row in refused] == [("agree", "extra_text", other["agree"])]
    assert summary["counts"]["extra_texts"] == 1  # type: ignore[index]


def test_the_sums_hold_over_many_replies() -> None:
    contents = [
        json.dumps(GOOD), "", "no", json.dumps({"agree": "I feel the same about it."}), "{'agree': 'I feel",
        json.dumps(GOOD).replace('"}', ""), "[]", json.dumps([{"agree": "Such a film it was."}]),
    ]  # fmt: skip
    replies = [reply(content, name) for content in contents for name in ("a", "b", "c", "d", "unknown")]
    kept, refused, summary = repaired(*replies)
    counts = summary["counts"]
    assert counts["replies"] == len(replies)  # type: ignore[index]
    assert counts["fields"] == 2 * len(replies) == len(kept) + counts["fields_quarantined"]  # type: ignore[index]
    assert len(refused) == counts["quarantine_rows"]  # type: ignore[index]
    assert summary["reasons"]["unknown_review"] == 2 * len(contents)  # type: ignore[index]


def test_a_reply_without_a_text_is_quarantined_raw() -> None:
    raw = '{"content": null, "reasoning_content": "Paid for."}'
    _, refused, _ = repaired(reply(None).model_copy(update={"raw": raw}))
    assert [(row.reason, row.content) for row in refused] == [("empty", raw)]
