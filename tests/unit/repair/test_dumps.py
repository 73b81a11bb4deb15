"""What services and models send: reasoning, envelopes, endings, ids, numbers. Inputs are of this file's own making."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from relearn.errors import InputError
from relearn.repair.dump import read_dump
from relearn.repair.json import RecordSchema, read_schema
from relearn.repair.rows import DumpRepairer

DRAFT = '{"agree": "A first idea.", "disagree": "Another first idea."}'
ANSWER = '{"agree": "Yes, the tea is hot.", "disagree": "No, the tea is cold."}'
GOOD = {"agree": "Yes, the tea is hot.", "disagree": "No, the tea is cold."}
TEXTS = RecordSchema.of_texts(["agree", "disagree"])


def repair(
    raw: str | bytes | list[Any], schema: RecordSchema = TEXTS, duplicates: str = "keep"
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(rows, quarantine) of a file; a list is written as JSON Lines."""
    if isinstance(raw, list):
        raw = "".join(json.dumps(row) + "\n" for row in raw)
    given = io.BytesIO(raw.encode() if isinstance(raw, str) else raw)
    repairer = DumpRepairer(schema, duplicates=duplicates)
    found = [row for text in read_dump(given, "dump", schema) for row in repairer.repair(text)]
    repairer.ledger.as_dict()
    return [row for kept, row in found if kept], [row for kept, row in found if not kept]


THOUGHTS = [
    f"<think>Maybe {DRAFT}. No.</think>{ANSWER}",
    f"<thinking>\nMaybe {DRAFT}\n</thinking>\n\n```json\n{ANSWER}\n```",
    f"Maybe {DRAFT}. Better so:\n</think>\n{ANSWER}",
    f"<seed:think>{DRAFT}</seed:think>{ANSWER}",
    f"[THINK]{DRAFT}[/THINK]{ANSWER}",
    f"◁think▷{DRAFT}◁/think▷{ANSWER}",
    f"<|begin_of_thought|>{DRAFT}<|end_of_thought|>\n{ANSWER}",
    f"<unused94>thought\n{DRAFT}<unused95>{ANSWER}",
    f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}<|return|>",
    f"analysis{DRAFT}assistantfinal{ANSWER}",
    f"<think>one</think>{DRAFT}<think>no, again</think>{ANSWER}",
    f'<think>{{"agree": "A begun draft, no\n</think>\n{ANSWER}',
    f"<reasoning>I must not write </think> here. {DRAFT}</reasoning>{ANSWER}",
    f"{DRAFT}\nWait, that is not about tea. Corrected version:\n{ANSWER}",
    f"<THINK>one <think> two </think> {DRAFT} </THINK>{ANSWER}",
    f"< think >{DRAFT}</ think >{ANSWER}",
    f"&lt;think&gt;{DRAFT}&lt;/think&gt;\n{ANSWER}",
    f"<|START_THINKING|>{DRAFT}<|END_THINKING|><|START_RESPONSE|>{ANSWER}<|END_RESPONSE|>",
    f"<|inner_prefix|>{DRAFT}<|inner_suffix|>{ANSWER}",
    f'<details type="reasoning" done="true"><summary>Thought for 3 seconds</summary>\n> {DRAFT}\n</details>\n{ANSWER}',
    f"Here is my thought process: {DRAFT}\nHere is my response: {ANSWER}",
    f"{DRAFT} will not do. <answer>{ANSWER}</answer>",
    f"<think>{DRAFT}</think><response>{ANSWER}</response>",
    f"<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>commentary<|message|>{DRAFT}<|end|>"
    f"<|start|>assistant<|channel|>final <|constrain|>json<|message|>{ANSWER}",
    f"<seed:think>a<seed:cot_budget_reflect>9 left</seed:cot_budget_reflect>{DRAFT}</seed:think>{ANSWER}",
    f"**Thinking:** {DRAFT}\n\n**Answer:** {ANSWER}",
    f"{DRAFT}\nActually, here is a better one:\n{ANSWER}",
    f'{{"draft": {DRAFT}, "final": {ANSWER}}}',
    f'{{"thinking": {DRAFT}, "reply": {ANSWER}}}',
]


@pytest.mark.parametrize("content", THOUGHTS)
def test_the_answer_is_what_follows_the_reasoning(content: str) -> None:
    rows, _ = repair([{"id": 7, "content": content, "finish_reason": "stop"}])
    assert [row["fields"] for row in rows] == [GOOD]
    place = rows[0]["source"]["offsets"]["disagree"]
    assert content[place["start"] : place["end"]] == GOOD["disagree"]


@pytest.mark.parametrize(
    "content",
    [
        f"<think>{DRAFT} Let me see",
        f"{DRAFT}</think>",
        f"[THINK]{DRAFT}",
        f"<think>a</think>{DRAFT}<think>so",
        "<think>",
    ],
)
def test_a_reply_that_ends_inside_reasoning_holds_no_answer_and_is_kept_raw(content: str) -> None:
    rows, refused = repair([{"id": 7, "content": content, "finish_reason": "length"}])
    assert rows == []
    assert [(row["reason"], row["content"], row["source"]["id"]) for row in refused] == [("only_reasoning", content, 7)]


def test_a_tag_in_the_text_of_a_value_is_no_reasoning() -> None:
    for text in ("Write <think> first.", "It ends with </think> there.", "<analysis> is no tag of HTML."):
        rows, _ = repair(f'Here: {{"agree": "{text}", "disagree": "No.",}}')
        assert [row["fields"] for row in rows] == [{"agree": text, "disagree": "No."}]


def test_a_text_of_many_replies_keeps_the_answer_of_each_and_quarantines_the_thoughts() -> None:
    other = ANSWER.replace("tea", "soup")
    rows, refused = repair(f"<think>{DRAFT}</think>\n{ANSWER}\n<think>and now</think>\n{other}\n")
    assert [row["fields"]["agree"] for row in rows] == ["Yes, the tea is hot.", "Yes, the soup is hot."]
    assert any(DRAFT in row["content"] for row in refused)


MESSAGE = {"role": "assistant", "content": ANSWER}
PARTS = [{"type": "thinking", "thinking": DRAFT}, {"type": "text", "text": ANSWER}]
ENVELOPES: dict[str, tuple[dict[str, Any], Any]] = {
    "chat": ({"id": "chatcmpl-1", "choices": [{"message": MESSAGE, "finish_reason": "stop"}]}, "chatcmpl-1"),
    "chat in parts": ({"id": "c", "choices": [{"message": {"role": "assistant", "content": PARTS}}]}, "c"),
    "completion": ({"id": "cmpl-1", "choices": [{"text": ANSWER, "finish_reason": "stop"}]}, "cmpl-1"),
    "openai batch": (
        {"id": "b", "custom_id": "k1", "response": {"status_code": 200, "body": {"choices": [{"message": MESSAGE}]}}},
        "k1",
    ),
    "responses": (
        {
            "id": "resp_1",
            "object": "response",
            "status": "completed",
            "output": [
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": DRAFT}]},
                {"type": "message", "content": [{"type": "output_text", "text": ANSWER}]},
            ],
        },
        "resp_1",
    ),
    "anthropic": ({"id": "msg_1", "type": "message", "role": "assistant", "content": PARTS}, "msg_1"),
    "anthropic batch": (
        {"custom_id": "k2", "result": {"type": "succeeded", "message": {"role": "assistant", "content": PARTS}}},
        "k2",
    ),
    "anthropic tool": (
        {"id": "m", "role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": GOOD}]},
        "m",
    ),
    "gemini": (
        {
            "candidates": [{"content": {"parts": [{"text": DRAFT, "thought": True}, {"text": ANSWER}]}}],
            "responseId": "g",
        },
        "g",
    ),
    "gemini batch": (
        {"key": "k3", "response": {"candidates": [{"content": {"parts": [{"text": ANSWER}]}, "finishReason": "STOP"}]}},
        "k3",
    ),
    "ollama chat": ({"model": "m", "message": MESSAGE, "done": True, "done_reason": "stop"}, None),
    "ollama generate": ({"model": "m", "response": ANSWER, "done": True, "done_reason": "stop"}, None),
    "bedrock": ({"recordId": "k4", "modelOutput": {"role": "assistant", "content": PARTS}}, "k4"),
    "nova": ({"recordId": "k5", "modelOutput": {"output": {"message": {"role": "assistant", "content": PARTS}}}}, "k5"),
    "vllm": ({"request_id": "k6", "prompt": "p", "outputs": [{"text": ANSWER, "finish_reason": "stop"}]}, "k6"),
    "distilabel": ({"instruction": DRAFT, "generation": ANSWER, "model_name": "m"}, None),
    "tool call": (
        {"id": "t", "choices": [{"message": {"content": None, "tool_calls": [{"function": {"arguments": ANSWER}}]}}]},
        "t",
    ),
    "object": ({"id": "o", "content": GOOD, "finish_reason": "stop"}, "o"),
    "messages": ({"id": "ms", "messages": [{"role": "user", "content": DRAFT}, MESSAGE]}, "ms"),
    "a name of its own": ({"uuid": "u", "prompt": DRAFT, "teacher_says": ANSWER}, "u"),
    "numbers of a table": ({"id": 3.0, "content": ANSWER}, 3),
    "no id": ({"id": True, "content": ANSWER}, None),
    "sharegpt": (
        {"id": "s", "conversations": [{"from": "human", "value": DRAFT}, {"from": "gpt", "value": ANSWER}]},
        "s",
    ),
    "langfuse": ({"id": "l", "input": [{"role": "user", "content": DRAFT}], "output": MESSAGE}, "l"),
    "langchain": (
        {"id": "lc", "generations": [[{"text": ANSWER, "generation_info": {"finish_reason": "stop"}}]]},
        "lc",
    ),
    "replicate": (
        {"id": "rp", "status": "succeeded", "input": {"prompt": DRAFT}, "output": [ANSWER[:9], ANSWER[9:]]},
        "rp",
    ),
    "vertex": (
        {
            "status": "",
            "request": {"contents": [{"parts": [{"text": DRAFT}]}], "labels": {"id": "q"}},
            "response": {"candidates": [{"content": {"parts": [{"text": ANSWER}]}, "finishReason": "STOP"}]},
        },
        None,
    ),
    "a body as text": (
        {"custom_id": "x", "response": {"status_code": 200, "body": json.dumps({"choices": [{"message": MESSAGE}]})}},
        "x",
    ),
    "responses in a batch": (
        {
            "custom_id": "k",
            "response": {
                "body": {
                    "object": "response",
                    "output": [{"type": "message", "content": [{"type": "output_text", "text": ANSWER}]}],
                }
            },
        },
        "k",
    ),
    "cohere": ({"response_id": "co", "text": ANSWER, "generation_id": "g", "finish_reason": "COMPLETE"}, "co"),
    "cohere with thoughts": (
        {
            "id": "c2",
            "message": {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": DRAFT}, {"type": "text", "text": ANSWER}],
            },
        },
        "c2",
    ),
    "llama.cpp": ({"id_slot": 1, "content": ANSWER, "stop": True, "stop_type": "word", "stopping_word": "x"}, None),
    "text generation inference": ({"id": 4, "generated_text": ANSWER, "details": {"finish_reason": "eos_token"}}, 4),
    "parsed": ({"id": "p", "choices": [{"message": {"role": "assistant", "content": None, "parsed": GOOD}}]}, "p"),
    "curator": ({"generic_request": {"original_row_idx": 3}, "response_message": ANSWER, "response_errors": None}, 3),
    "mongo": ({"_id": {"$oid": "abc"}, "reply": ANSWER}, "abc"),
    "a sample's id": ({"model_id": "m", "sample_id": "x7", "output": ANSWER}, "x7"),
    "an id beside it": ({"metadata": {"id": "m5"}, "output": ANSWER}, "m5"),
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_an_envelope_is_opened_and_keeps_its_id(name: str) -> None:
    row, identity = ENVELOPES[name]
    for raw in ([row, row], json.dumps([row]), json.dumps(row, indent=1)):
        rows, refused = repair(raw)
        assert [found["fields"] for found in rows][:1] == [GOOD]
        assert rows[0]["source"].get("id") == identity
        assert [one["reason"] for one in refused] in ([], ["duplicate"])


@pytest.mark.parametrize(
    ("row", "reason", "told"),
    [
        ({"custom_id": "x", "response": {"status_code": 429, "body": {"error": {"message": "slow"}}}}, "request_failed", "slow"),
        ({"custom_id": "x", "response": None, "error": {"code": "batch_cancelled", "message": "m"}}, "request_failed", "batch_cancelled"),
        ({"custom_id": "x", "result": {"type": "expired"}}, "request_failed", "expired"),
        ({"custom_id": "x", "result": {"type": "errored", "error": {"error": {"type": "overloaded_error"}}}}, "request_failed", "overloaded_error"),
        ({"key": "x", "error": {"code": 503, "message": "m"}}, "request_failed", "503"),
        ({"key": "x", "response": {"promptFeedback": {"blockReason": "SAFETY"}}}, "content_filter", "SAFETY"),
        ({"id": "x", "choices": [{"message": {"content": None, "refusal": "I can't."}}]}, "refusal", "I can't."),
        ({"id": "x", "choices": [{"message": {"content": "", "reasoning": ANSWER}}]}, "only_reasoning", ""),
        ({"id": "x", "content": ANSWER[:-9], "finish_reason": "abort"}, "failed_upstream", "abort"),
        ({"id": "x", "choices": [], "usage": {}}, "request_failed", "no choices"),
        ({"id": "x", "status": 500, "body": "oops"}, "request_failed", "500"),
        ({"id": "x", "status": "error", "message": "timed out", "content": None}, "request_failed", "timed out"),
        ({"id": "x", "content": None, "errors": ["timeout"]}, "request_failed", "timeout"),
        ({"id": "x", "status": "Bad Request", "request": {"contents": [{"text": ANSWER}]}, "response": {}}, "request_failed", "Bad Request"),
        ({"recordId": "x", "modelInput": {"prompt": ANSWER}, "error": {"errorCode": 400, "errorMessage": "bad"}}, "request_failed", "400: bad"),
        ({"id": "x", "choices": [{"message": {"content": [{"type": "refusal", "refusal": "I won't."}]}}]}, "refusal", "I won't."),
        ({"id": "x", "object": "response", "output": [{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}]}, "refusal", "No."),
        ({"id": "x", "object": "response", "output": [{"type": "reasoning", "content": [{"type": "reasoning_text", "text": ANSWER}]}]}, "only_reasoning", ""),
        ({"key": "x", "response": {"candidates": [{"finishReason": "SAFETY", "safetyRatings": [1]}]}}, "content_filter", ""),
        ({"key": "x", "response": {"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]}}, "empty", ""),
        ({"id": "x", "role": "user", "content": ANSWER}, "not_an_answer", ""),
        ({"id": "x", "messages": [{"role": "user", "content": ANSWER}]}, "not_an_answer", ""),
        ({"id": "x", "prompt": ANSWER, "model": "m"}, "no_record", ""),
    ],
)  # fmt: skip
def test_a_failed_line_is_one_row_with_its_id_and_reason(row: dict[str, Any], reason: str, told: str) -> None:
    rows, refused = repair([{"id": "ok", "content": ANSWER}, row])
    assert [found["source"]["id"] for found in rows] == ["ok"]
    assert [(one["reason"], one["source"]["id"]) for one in refused] == [(reason, "x")]
    assert told in refused[0].get("detail", "")
    assert refused[0]["content"]


@pytest.mark.parametrize("word", ["length", "max_tokens", "MAX_TOKENS", "max_output_tokens", "LENGTH", "model_length"])
def test_every_word_for_the_cap_marks_a_closed_text_as_cut(word: str) -> None:
    text = '{"agree": "It is so.", "disagree": "It is not, since the"}'
    rows, refused = repair([{"id": 1, "content": text, "finish_reason": word}])
    assert rows[0]["fields"] == {"agree": "It is so."}
    assert [(row["field"], row["reason"]) for row in refused] == [("disagree", "cut_off")]
    anthropic = {"id": 1, "role": "assistant", "content": [{"type": "text", "text": text}], "stop_reason": word}
    assert [row["reason"] for row in repair([anthropic])[1]] == ["cut_off"]


def test_an_unknown_ending_is_kept_and_shown() -> None:
    rows, _ = repair([{"id": 1, "content": ANSWER, "finish_reason": "sunset"}])
    assert rows[0]["flags"] == ["unknown_finish_reason"]


def test_of_several_columns_those_are_read_that_hold_a_record() -> None:
    rows, refused = repair(
        [
            {"id": 1, "text": "A film.", "response": ANSWER},
            {"id": 2, "thinking": DRAFT, "final_json": ANSWER},
            {"id": 3, "out_a": ANSWER, "out_b": DRAFT},
            {"id": 4, "text": "A film.", "response": "I cannot say."},
        ]
    )
    assert [(row["source"]["id"], row["fields"]["agree"]) for row in rows] == [
        (1, GOOD["agree"]), (2, GOOD["agree"]), (3, GOOD["agree"]), (3, "A first idea."),
    ]  # fmt: skip
    assert [(row["source"]["id"], row["content"]) for row in refused] == [(4, "I cannot say.")]


def test_rows_of_different_ids_are_kept_unless_duplicates_are_dropped() -> None:
    same = [{"id": name, "content": ANSWER} for name in ("a", "b", "a")]
    for given in (same, [{"id": row["id"], **GOOD} for row in same]):
        rows, refused = repair(given)
        assert [row["source"]["id"] for row in rows] == ["a", "b"]
        assert [row["reason"] for row in refused] == ["duplicate"]
        rows, refused = repair(given, duplicates="drop")
        assert [row["source"]["id"] for row in rows] == ["a"]
        assert [row["reason"] for row in refused] == ["duplicate"] * 2


@pytest.mark.parametrize("encode", [gzip.compress, lambda raw: codecs.BOM_UTF8 + raw])
def test_a_file_may_be_gzip_or_begin_with_a_mark(encode: Any) -> None:
    raw = json.dumps({"id": 1, "content": ANSWER}).encode() + b"\n"
    assert [row["fields"] for row in repair(encode(raw))[0]] == [GOOD]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_file_may_be_utf_16(encoding: str) -> None:
    raw = json.dumps({"id": "é", "content": ANSWER}, ensure_ascii=False) + "\r\n"
    assert [row["source"]["id"] for row in repair(raw.encode(encoding))[0]] == ["é"]


def test_gzip_that_breaks_off_is_one_line() -> None:
    with pytest.raises(InputError, match="dump: gzip"):
        repair(gzip.compress(json.dumps({"id": 1, "content": ANSWER}).encode())[:-12])


@pytest.mark.parametrize(
    "table",
    [
        {"id": {"0": "x", "1": "y"}, "content": {"0": ANSWER, "1": ANSWER[:-8]}, "stop_reason": {"0": "end_turn", "1": "max_tokens"}},
        {"id": ["x", "y"], "content": [ANSWER, ANSWER[:-8]], "stop_reason": ["end_turn", "max_tokens"]},
        {"columns": ["id", "content", "stop_reason"], "index": [0, 1], "data": [["x", ANSWER, "end_turn"], ["y", ANSWER[:-8], "max_tokens"]]},
        {"rows": [{"row_idx": 0, "row": {"id": "x", "content": ANSWER}}, {"row_idx": 1, "row": {"id": "y", "content": ANSWER[:-8], "finish_reason": "length"}}]},
    ],
)  # fmt: skip
def test_a_table_of_replies_is_read_by_rows_with_their_stop_reasons(table: dict[str, Any]) -> None:
    rows, refused = repair(json.dumps(table))
    assert [(row["source"]["id"], len(row["fields"])) for row in rows] == [("x", 2), ("y", 1)]
    assert [(row["source"]["id"], row["reason"]) for row in refused] == [("y", "cut_off")]


def write_csv(rows: list[list[str]], delimiter: str, end: str) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, lineterminator=end).writerows(rows)
    return file.getvalue()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_csv_of_replies_has_its_own_ids_lines_and_stop_reasons(delimiter: str, mark: str) -> None:
    two = ANSWER.replace('", "', '",\n"')
    rows = [
        ["id", "prompt", "reply", "finish_reason"],
        ["q1", DRAFT, two, "stop"],
        ["q2", DRAFT, ANSWER[:-9], "length"],
    ]
    found, refused = repair(mark + write_csv([*rows, ["q3", DRAFT, "", "stop"]], delimiter, "\r\n"))
    assert [(row["source"]["id"], row["source"]["line"], len(row["fields"])) for row in found] == [
        ("q1", 2, 2),
        ("q2", 4, 1),
    ]
    assert [(row["source"]["id"], row["reason"]) for row in refused] == [("q2", "cut_off"), ("q3", "empty")]
    place = found[0]["source"]["offsets"]["disagree"]
    assert two[place["start"] : place["end"]] == GOOD["disagree"]


def test_a_csv_of_records_is_read_by_its_columns() -> None:
    raw = write_csv([["", "k", "t", "n"], ["0", "3", "so, it is", "0.5"], ["1", "x", 'a "b"', "1,000"]], ",", "\n")
    rows, refused = repair(raw, NUMBERS)
    assert [(row["source"]["id"], row["fields"]) for row in rows] == [
        ("0", {"n": 0.5, "k": 3, "t": "so, it is"}),
        ("1", {"t": 'a "b"'}),
    ]
    assert {(row["source"]["id"], row["field"], row["reason"]) for row in refused} == {
        ("1", "k", "wrong_type"),
        ("1", "n", "wrong_type"),
    }


def test_a_csv_row_that_does_not_fit_keeps_its_neighbours_and_its_own_text() -> None:
    whole = [[f"q{number}", ANSWER] for number in range(5)]
    raw = write_csv([["id", "content"], *whole], ",", "\n") + "q5,cut,off\n"
    rows, refused = repair(raw)
    assert [row["source"]["id"] for row in rows] == [name for name, _ in whole]
    assert [(row["reason"], row["content"], row["source"]["line"]) for row in refused] == [
        ("broken_line", "q5,cut,off\n", 7)
    ]


def test_prose_with_commas_is_no_csv() -> None:
    rows, refused = repair(f"Sure, here it is\n{ANSWER}\nso, that is it\n")
    assert [row["fields"] for row in rows] == [GOOD]
    assert [row["reason"] for row in refused] == ["prose", "prose"]


NUMBERS = read_schema(
    {"type": "object", "properties": {"n": {"type": "number"}, "k": {"type": "integer"}, "t": {"type": "string"}}}
)


@pytest.mark.parametrize("n", "12,000 1,234,567 12,34 $12 €12 12€ 12% 12k 1.234.567 12'000 1e999 -1e999 1e-999".split())
def test_a_number_that_is_not_one_is_refused_and_its_neighbours_are_kept(n: str) -> None:
    rows, refused = repair(f'{{"k": 3, "n": {n}, "t": "end",}}', NUMBERS)
    assert [row["fields"].get("k") for row in rows] == [3]
    assert all("n" not in row["fields"] for row in rows)
    assert "n" in {row["field"] for row in refused}


@pytest.mark.parametrize("n", "3/4 8/10 ~5 5+ 1_000 １２ 0x1F +5 .5 5. NaN five 12，000".split())
def test_what_json_has_no_number_for_is_refused_too(n: str) -> None:
    rows, refused = repair(f'{{"k": 3, "n": {n}, "t": "end",}}', NUMBERS)
    assert [row["fields"] for row in rows] == [{"k": 3, "t": "end"}]
    assert [(row["field"], row["content"]) for row in refused] == [("n", n)]


@pytest.mark.parametrize("k", ["3.0", "3e0", "0.3E1"])
def test_a_whole_number_is_one_however_it_is_written(k: str) -> None:
    for raw in (f'{{"k": {k}, "t": "x"}}', f'{{"k": {k}, "t": "x",}}'):
        value = repair(raw, NUMBERS)[0][0]["fields"]["k"]
        assert (value, type(value)) == (3, int)


def test_large_numbers_are_exact() -> None:
    rows, _ = repair('{"k": 9007199254740993.0, "n": 9007199254740993, "t": "x",}', NUMBERS)
    assert rows[0]["fields"] == {"k": 9007199254740993, "n": 9007199254740993, "t": "x"}
    huge = "1" + "0" * 350
    assert repair(f'{{"k": {huge}, "t": "x"}}', NUMBERS)[0][0]["fields"]["k"] == int(huge)
    assert repair(f'{{"k": {huge}, "t": "x",}}', NUMBERS)[0][0]["fields"]["k"] == int(huge)


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        ("{“agree”：“茶很热。”，“disagree”：“茶很凉。”}", ("茶很热。", "茶很凉。")),
        ('｛"agree"："茶很热。"；"disagree"："他说“凉”，对。"｝', ("茶很热。", "他说“凉”，对。")),
        ('{"agree": "お茶は熱い。"、"disagree": "冷たい。"、}', ("お茶は熱い。", "冷たい。")),
        ("{＂agree＂：＂뜨겁다.＂，＂disagree＂：＂차갑다.＂}", ("뜨겁다.", "차갑다.")),
        ('［｛"agree": "hot"，"disagree": "cold"｝］', ("hot", "cold")),
        ('{"agree": ""tea is hot", "disagree": ""tea is cold"}', ("tea is hot", "tea is cold")),
        ('{"agree": "The tea is " + "hot.", "disagree": "It " +\n  "is cold."}', ("The tea is hot.", "It is cold.")),
        (
            "{'agree': ('The tea '\n  'is hot.'), 'disagree': 'It isn't ' + 'hot.'}",
            ("The tea is hot.", "It isn't hot."),
        ),
        ('{"agree": "print(" + ")", "disagree": "sep.join(" ")",}', ('print(" + ")', 'sep.join(" ")')),
        (
            '{"agree": {"ok": true, "wording": "Hot.", "n": 2}, "disagree": {"note": "Cold.", "n": null}}',
            ("Hot.", "Cold."),
        ),
        (
            '{"agree": {"ok": True, "wording": "A "hot" tea.", "n": 1,200}, "disagree": {"note": "Cold."},}',
            ('A "hot" tea.', "Cold."),
        ),
        ("{agree: \"Caf\\xe9 \\d.\", disagree: 'No.'}", ("Café \\d.", "No.")),
        ('{agree: {ok: true, wording: "Hot."}, disagree: {wording: "Cold.", n: 2}}', ("Hot.", "Cold.")),
    ],
)
def test_texts_in_other_dress_are_read_as_they_are(raw: str, fields: tuple[str, str]) -> None:
    rows, _ = repair(raw)
    assert [tuple(row["fields"].values()) for row in rows] == [fields]


@pytest.mark.parametrize(
    "raw",
    [
        '{"agree": {"first": "Hot.", "second": "Cold."}, "disagree": "No.",}',
        '{"agree": "done",", "disagree": "No.",}',
        '{"agree": "tea is"\n"not", "disagree": "No.",}',
        '{"disagree": "No.", "agree": "The tea " +\n  "is so hot "',
    ],
)
def test_what_may_be_two_texts_is_refused_and_its_neighbour_kept(raw: str) -> None:
    rows, refused = repair(raw)
    assert [row["fields"] for row in rows] == [{"disagree": "No."}]
    assert refused


def test_a_text_that_was_cut_in_the_next_key_and_closed_is_refused() -> None:
    rows, refused = repair([{"id": 1, "content": '{"agree": "It is hot.", "disagree""}', "finish_reason": "length"}])
    assert rows == []
    assert refused[0]["reason"] == "ambiguous_end"


def test_halves_of_different_ids_are_never_joined_and_an_outer_id_is_kept() -> None:
    rows, _ = repair('{"id": 1, "agree": "one"}\n{"id": 2, "disagree": "two"}\n')
    assert [(row["source"]["id"], row["fields"]) for row in rows] == [(1, {"agree": "one"}), (2, {"disagree": "two"})]
    rows, _ = repair(json.dumps([{"id": "q", "data": GOOD}]))
    assert rows[0]["source"]["id"] == "q"


@pytest.mark.parametrize(
    "table",
    [
        {name: {"0": text, "1": text + " Again."} for name, text in GOOD.items()},
        {name: [text, text + " Again."] for name, text in GOOD.items()},
        {"columns": list(GOOD), "index": [0, 1], "data": [list(GOOD.values()), [f"{t} Again." for t in GOOD.values()]]},
    ],
)
def test_a_table_of_records_is_read_by_rows(table: dict[str, Any]) -> None:
    rows, refused = repair(json.dumps(table))
    assert [row["fields"]["agree"] for row in rows] == [GOOD["agree"], GOOD["agree"] + " Again."]
    assert refused == []


@pytest.mark.parametrize("before", ["Loading 10%\rLoading 100%\n", "\r", "x" * 140_000 + ", "])
def test_a_first_line_that_no_table_has_is_text(before: str) -> None:
    rows, _ = repair(before + ANSWER)
    assert [row["fields"] for row in rows] == [GOOD]


def test_a_table_of_one_column() -> None:
    rows, refused = repair('agree\nYes.\n"No, never."\n', RecordSchema.of_texts(["agree"]))
    assert [row["fields"]["agree"] for row in rows] == ["Yes.", "No, never."]
    assert refused == []
    rows, _ = repair(f"agree\n{ANSWER}\n", RecordSchema.of_texts(["agree"]))
    assert [row["fields"] for row in rows] == [{"agree": GOOD["agree"]}]


def test_a_quote_in_a_tsv_without_quoted_cells_is_text() -> None:
    rows, refused = repair('agree\tdisagree\n"Yes," he said.\tNo.\nFine.\tHe said "no"\n')
    assert [list(row["fields"].values()) for row in rows] == [['"Yes," he said.', "No."], ["Fine.", 'He said "no"']]
    assert refused == []


@pytest.mark.parametrize(
    ("table", "detail"),
    [
        ("agree,disagree\nYes, sure.,No.\n", "line 2: the header has 2 cells, this row 3"),
        ('agree,disagree\nYes.,No.\n"Yes," he said.,No.\n', "line 3: ',' expected after '\"'"),
    ],
)
def test_a_table_whose_rows_do_not_fit_says_where(table: str, detail: str) -> None:
    rows, refused = repair(table)
    assert rows == []
    assert [(row["reason"], row["content"], row["detail"]) for row in refused] == [("broken_table", table, detail)]


SECTIONS = [{"title": "A", "summary": "Part a."}, {"id": 5, "title": "B", "summary": "Part b."}]
REPORT = RecordSchema.of_texts(["title", "summary"])


@pytest.mark.parametrize("outer", [{"title": "Report", "summary": "Whole."}, {"summary": "Whole."}])
@pytest.mark.parametrize("around", ["%s", "Here it is:\n%s\nHope it helps."])
def test_records_inside_a_record_are_records(outer: dict[str, str], around: str) -> None:
    rows, refused = repair(around % json.dumps({"id": 3, **outer, "sections": SECTIONS}), REPORT)
    assert [row["fields"] for row in rows] == [
        outer,
        {"title": "A", "summary": "Part a."},
        {"title": "B", "summary": "Part b."},
    ]
    assert [row["source"]["id"] for row in rows] == [3, 3, 5]
    assert all(row["reason"] in ("missing", "prose") for row in refused)


def test_half_a_record_inside_a_record_is_quarantined_and_joined_with_nothing() -> None:
    rows, refused = repair(json.dumps({"summary": "Whole.", "author": {"title": "Dr."}}), REPORT)
    assert [row["fields"] for row in rows] == [{"summary": "Whole."}]
    assert [row["content"] for row in refused if row["reason"] == "nested"] == ['{"title": "Dr."}']


def test_a_record_that_is_withdrawn_takes_those_inside_it_along() -> None:
    first = {"title": "Report", "summary": "Whole.", "sections": SECTIONS}
    rows, refused = repair(f"{json.dumps(first)}\nWait, corrected version:\n{json.dumps(SECTIONS[0])}", REPORT)
    assert [row["fields"] for row in rows] == [SECTIONS[0]]
    assert [row["reason"] for row in refused] == ["superseded"] * 3 + ["prose"]


def test_a_draft_inside_the_answer_is_quarantined() -> None:
    rows, refused = repair(json.dumps({**GOOD, "draft": json.loads(DRAFT)}))
    assert [row["fields"] for row in rows] == [GOOD]
    assert [(row["reason"], row["content"]) for row in refused] == [("superseded", DRAFT)]


# Of each shared case: the ids (or None) of the rows kept whole, in part, and the reasons in quarantine.
RIGHT = {
    "think.jsonl": "r0 r1|| only_reasoning",
    "think.txt": "-|| reasoning",
    "think_unpaired.txt": "-|| reasoning",
    "think_cut_length.jsonl": "|| only_reasoning",
    "think_only.txt": "|| only_reasoning",
    "parts.jsonl": "c0 c1 c2||",
    "selfcorrect.jsonl": "1|| superseded",
    "finish_max_tokens.jsonl": "|a max_tokens MAX_TOKENS model_length LENGTH| cut_off cut_off cut_off cut_off cut_off "
    "failed_upstream failed_upstream",
    "fullwidth.jsonl": "r1 r2 r3 r4 r5||",
    "fullwidth.txt": "-||",
    "fullwidth_inner.txt": "-||",
    "double_open.txt": "-||",
    "num_commas.jsonl": "|a b| wrong_type wrong_type",
    "num_commas.txt": "|- -| out_of_range prose wrong_type wrong_type",
    "quote_end.txt": "-||",
    "repeated_comma_quote.txt": "|| ambiguous_end",
    "inch_comma.txt": "-||",
    "enum.jsonl": "-|| not_in_enum not_in_enum",
    "enum2.txt": "|| not_in_enum prose",
    "bounds.jsonl": "|| wrong_length",
    "batch.jsonl": "review-1|| request_failed request_failed",
    "anthropic_batch.jsonl": "review-0 review-1 review-2||",
    "gemini.jsonl": "review-0 review-1 review-2||",
    "ollama.jsonl": "- - -||",
    "responses_api.jsonl": "resp_0 resp_1 resp_2||",
    "distilabel.jsonl": "- - -||",
    "tool_calls.jsonl": "c0 c1 c2||",
    "content_dict.jsonl": "r0 r1 r2||",
    "reasoning_content.jsonl": "|| only_reasoning only_reasoning only_reasoning",
    "surrogates.jsonl": "|1 2| half_character half_character",
    "utf16.jsonl": "1||",
    "pandas_split.json": "- - -||",
    "pandas_columns.json": "- - -||",
    "to_dict_columns.json": "- - -||",
    "hf_rows_api.json": "0 1 2||",
    "csv_cols.csv": "- - -||",
    "excel_export.csv": "0 1 2||",
    "dup.jsonl": "a b||",
    "arr_values.txt": "|| wrong_type",
    "multi_values.jsonl": "|0 1 2| wrong_type wrong_type wrong_type",
    "bom_crlf.jsonl": "0 1 2||",
    "bool_id.jsonl": "- -||",
    "float_id.jsonl": "x0 x1||",
    "huge_int_id.jsonl": "123456789012345678901234567890||",
    "gz.jsonl.gz": "|| no_record",
    "instance_in_properties.txt": "-||",
    "schema_echo.txt": "-||",
    "placeholder.txt": "-|| prose prose superseded",
    "nul.txt": "-||",
    "superfluous_quote.txt": "-||",
    "think_nodraft.jsonl": "1||",
    "u2028.jsonl": "0 1 2||",
}
SCHEMAS = {"enum": "enum", "enum2": "enum", "bounds": "bounds", "num_commas": "num"}


def test_every_shared_case_has_its_right_value_here(shared_cases: Path) -> None:
    assert {file.name for file in (shared_cases / "repair").iterdir() if "_schema" not in file.name} == set(RIGHT)


@pytest.mark.parametrize("name", RIGHT)
def test_the_shared_cases(name: str, shared_cases: Path) -> None:
    folder = shared_cases / "repair"
    schema = TEXTS
    if (stem := name.partition(".")[0]) in SCHEMAS:
        schema = read_schema(json.loads((folder / f"{SCHEMAS[stem]}_schema.json").read_text()))
    if stem == "dup":
        schema = read_schema({"type": "object", "properties": {"label": {"type": "string"}}})
    rows, refused = repair((folder / name).read_bytes(), schema)
    shown = ["", ""]
    for row in rows:
        shown[len(row["fields"]) < len(schema.fields)] += f" {row['source'].get('id', '-')}"
        assert not any("raft" in str(text) or "First try" in str(text) for text in row["fields"].values())
    found = f"{shown[0].strip()}|{shown[1].strip()}| {' '.join(sorted(row['reason'] for row in refused))}"
    assert found.strip() == RIGHT[name]
