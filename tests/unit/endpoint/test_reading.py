"""Bodies of status 200 as servers and gateways have been seen to send them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from relearn.endpoint.errors import Failed
from relearn.endpoint.reading import read_body
from relearn.endpoint.request import ServerAnswer

TEXT = '{"yes": "I was there.", "no": "I was not."}'


def read(body: Any) -> ServerAnswer:
    return read_body(json.dumps(body).encode(), "asked", "sk-secret")


def completion(message: Any, finish: str | None = "stop", usage: Any = None, **choice: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": finish, **choice}], "usage": usage}


def failure(body: Any) -> Failed:
    with pytest.raises(Failed) as caught:
        read(body)
    return caught.value


@pytest.mark.parametrize(
    "message",
    [
        {"content": TEXT},
        {"role": "assistant", "content": TEXT, "refusal": None, "tool_calls": [], "audio": None, "name": "a"},
    ],
)
def test_a_plain_text_needs_no_raw(message: dict[str, Any]) -> None:
    answer = read(completion(message))
    assert (answer.content, answer.raw, answer.model) == (TEXT, None, "asked")


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": TEXT}],
        [{"type": "output_text", "text": TEXT[:9]}, {"type": "output_text", "text": TEXT[9:]}],
        [TEXT[:5], TEXT[5:]],
        [{"type": "text", "text": {"value": TEXT, "annotations": []}}],
        [{"type": "thinking", "thinking": "Perhaps {}", "text": "Perhaps"}, {"type": "text", "text": TEXT}],
        [{"type": "reasoning", "text": '{"yes": "a draft"}'}, {"type": "text", "text": TEXT}],
        [{"text": "a thought", "thought": True}, {"text": TEXT}],
        [{"type": "redacted_thinking", "data": "xyz"}, {"type": "text", "text": TEXT}],
        {"type": "text", "text": TEXT},
        json.loads(TEXT),
        {"type": "a field of the answer", "yes": "I was there."},
    ],
)
def test_parts_and_objects_are_read_and_kept_raw(content: Any) -> None:
    answer = read(completion({"role": "assistant", "content": content}))
    wanted = content if isinstance(content, dict) and "yes" in content else json.loads(TEXT)
    assert json.loads(answer.content or "") == wanted
    assert json.loads(answer.raw or "") == {"role": "assistant", "content": content}


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "reasoning_content": TEXT},
        {"content": None, "reasoning": TEXT},
        {"content": "", "reasoning_details": [{"type": "reasoning.text", "text": TEXT}]},
        {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": TEXT}}]},
        {"content": None, "function_call": {"name": "f", "arguments": TEXT}},
        {"thinking": TEXT},
        {"content": [{"type": "thinking", "thinking": TEXT}]},
        {"content": 12},
    ],
)
def test_what_holds_no_answer_is_kept_raw(message: dict[str, Any]) -> None:
    answer = read(completion(message))
    assert not answer.content
    assert json.loads(answer.raw or "") == message


def test_reasoning_beside_the_answer_is_kept() -> None:
    answer = read(completion({"content": TEXT, "reasoning_content": "first I thought"}))
    assert answer.content == TEXT
    assert "first I thought" in (answer.raw or "")


def test_a_lone_surrogate_is_kept_as_it_came() -> None:
    answer = read(completion({"content": "a \ud83d b"}))
    assert json.loads(answer.raw or "")["content"] == "a \ud83d b"


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"text": TEXT, "finish_reason": "stop"}]},
        {"message": {"role": "assistant", "content": TEXT}, "done": True, "done_reason": "stop"},
        {"choices": [{"delta": {"content": TEXT}, "finish_reason": "stop"}]},
        {"choices": [{"message": {"content": TEXT}, "finish_reason": None, "native_finish_reason": "stop"}]},
    ],
)
def test_other_envelopes(body: Any) -> None:
    answer = read(body)
    assert (answer.content, answer.finish_reason) == (TEXT, "stop")


def test_a_choice_without_a_message_is_what_it_says() -> None:
    assert read({"choices": [{"finish_reason": "content_filter", "index": 0}]}).finish_reason == "content_filter"
    assert read({"choices": [{"finish_reason": "MAX_TOKENS"}]}).cut
    failed = failure({"choices": [{"message": None, "error": {"code": 502, "message": "gone"}}]})
    assert (failed.kind, "gone" in failed.detail) == ("upstream", True)


def test_a_refusal_in_a_part() -> None:
    answer = read(completion({"content": [{"type": "refusal", "refusal": "I will not."}]}))
    assert (answer.content, answer.refusal) == (None, "I will not.")


@pytest.mark.parametrize("finish", ["max_tokens", "MAX_TOKENS", "length", "model_length"])
def test_cut_whatever_it_is_called(finish: str) -> None:
    answer = read(completion({"content": TEXT[:12]}, finish))
    assert answer.cut
    assert answer.finish_reason == finish


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (completion({"content": "I was"}, "error", error={"code": 502, "message": "gone"}), "upstream"),
        (completion({"content": ""}, "stop", error={"message": "provider gone"}), "upstream"),
        (completion({"content": ""}, "error", error={"code": 401, "message": "the provider's key"}), "upstream"),
        (completion({"content": "I was"}, "abort"), "upstream"),
        (completion({"content": None}, "insufficient_system_resource"), "upstream"),
        (completion({"content": ""}, None, error={"code": 429, "message": "slow"}), "rate_limit"),
        ({**completion({"content": "I was"}), "error": {"message": "broke off", "code": 500}}, "http_500"),
    ],
)
def test_what_broke_off_upstream_is_no_answer_and_its_text_is_kept(body: Any, kind: str) -> None:
    failed = failure(body)
    assert (failed.kind, failed.verdict, failed.billed) == (kind, "retry", True)
    content = body["choices"][0]["message"]["content"]
    assert not content or content in (failed.raw or "")


@pytest.mark.parametrize(
    ("body", "kind", "verdict", "words"),
    [
        ({"error": {"message": "slow down", "code": 429}}, "rate_limit", "retry", "slow down"),
        ({"code": 401, "msg": "invalid key sk-secret"}, "auth", "stop", "invalid key [key]"),
        ({"error": {"message": "no money", "code": "insufficient_quota"}}, "quota", "stop", "no money"),
        ({"choices": [], "error": {"message": "it broke", "code": 500}}, "http_500", "retry", "it broke"),
        ({"choices": [], "promptFeedback": {"blockReason": "SAFETY"}}, "content_filter", "filtered", "blocked"),
        ({"error": {"message": "flagged", "code": 403}}, "content_filter", "filtered", "flagged"),
        ({"choices": []}, "no_choices", "retry", "no choices"),
    ],
)
def test_error_bodies_are_errors_with_their_own_code(body: Any, kind: str, verdict: str, words: str) -> None:
    failed = failure(body)
    assert (failed.kind, failed.verdict) == (kind, verdict)
    assert words in failed.detail
    assert "sk-secret" not in failed.detail + (failed.raw or "")


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, (10, 5)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 95}, (10, 85)),  # reasoning is in the total
        ({"prompt_tokens": 10, "total_tokens": 95}, (10, 85)),
        ({"prompt_tokens": 10.0, "completion_tokens": "5", "total_tokens": None}, (10, 5)),
        ({"input_tokens": 10, "output_tokens": 5}, (10, 5)),
        ({"prompt_tokens": 10, "completion_tokens": -1}, (10, None)),
        ({"prompt_tokens": "many"}, (None, None)),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 80}},
            (10, 85),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 85, "completion_tokens_details": {"reasoning_tokens": 80}},
            (10, 85),
        ),
        (None, (None, None)),
        ([], (None, None)),
    ],
)
def test_tokens_count_as_they_are_charged(usage: Any, counts: tuple[int | None, int | None]) -> None:
    answer = read(completion({"content": TEXT}, usage=usage))
    assert (answer.prompt_tokens, answer.completion_tokens) == counts
