"""The run against servers that refuse fields, break off upstream, and withhold some of the content."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address, Request, ServerAnswer
from relearn.endpoint.run import fetch
from relearn.endpoint.survey import follow_caps, survey
from relearn.endpoint.tally import Tally
from relearn.errors import InputError
from tests.unit.endpoint.asked import IDENTITY, KEY, request, settings
from tests.unit.endpoint.odd_server import Answer, OddServer, completion

REQUESTS = [request(number) for number in range(12)]


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


class Run:
    """One run against a server that answers so; a second one with `again`."""

    def __init__(self, folder: Path, answer: Answer, requests: Iterable[Request] = REQUESTS, **more: Any) -> None:
        self.path, self.answer, self.requests = folder / "journal.sqlite", answer, list(requests)
        self.settings = settings(**{"concurrency": 1, **more})
        self.tally = Tally()

    def go(self) -> Tally:
        self.tally = Tally()
        with OddServer(self.answer) as self.server, Journal(self.path) as journal:
            where = Address.of(self.server.base_url, KEY, IDENTITY)
            limit = self.settings.max_tokens_limit
            before = survey(self.requests, journal, IDENTITY, limit, self.settings.prices)
            fetch(self.requests, where, self.settings, journal, before, self.tally)
        return self.tally

    def answers(self) -> list[ServerAnswer | None]:
        with Journal(self.path) as journal:
            limit = self.settings.max_tokens_limit
            return [list(follow_caps(each, journal, IDENTITY, limit))[-1][1] for each in self.requests]


# --- how an answer ended -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [
        completion("I was th", "error", error={"code": 502, "message": "gone"}),
        completion("", "error", error={"code": 502, "message": "gone"}),
        completion("I was th", "abort"),
        completion("I was th", "stop", error={"message": "gone"}),
        completion(None, "MALFORMED_RESPONSE"),
        {"error": {"message": "busy", "type": "overloaded_error"}},
        {"object": "error", "message": "worker gone", "code": 50002},
    ],
)
def test_what_failed_upstream_is_asked_again_and_never_the_answer(tmp_path: Path, first: Any) -> None:
    run = Run(tmp_path, lambda _, nth: (200, first if nth == 1 else completion("whole")), backoff_s=0.001)
    tally = run.go()
    assert (tally.answered, tally.sent, tally.retried, tally.failed) == (12, 24, 12, [])
    assert [answer and answer.content for answer in run.answers()] == ["whole"] * 12
    assert tally.failing == 0.5
    assert any("50% of the requests failed" in line for line in tally.remarks())


def test_what_fails_for_good_keeps_the_text_that_was_paid_for(tmp_path: Path) -> None:
    run = Run(tmp_path, lambda *_: (200, completion("half a text", "abort")), REQUESTS[:1], attempts=2, backoff_s=0.001)
    assert [kind for _, kind, _ in run.go().failed] == ["upstream"]
    with Journal(run.path) as journal:
        assert list(journal.rows()) == []
        assert "half a text" in journal.failure_texts()["r0"]


@pytest.mark.parametrize("finish", ["max_tokens", "MAX_TOKENS", "model_length"])
def test_cut_at_the_cap_whatever_it_is_called(tmp_path: Path, finish: str) -> None:
    def answer(body: dict[str, Any], _: int) -> tuple[int, Any]:
        cut = body["max_tokens"] < 100
        return 200, completion("half." if cut else "whole", finish if cut else "stop")

    run = Run(tmp_path, answer, [request(number, max_tokens=50) for number in range(4)], max_tokens_limit=200)
    tally = run.go()
    assert (tally.answered, tally.asked_longer) == (4, 4)
    assert [found and found.content for found in run.answers()] == ["whole"] * 4


def test_an_unknown_finish_reason_is_kept_counted_and_shown(tmp_path: Path) -> None:
    run = Run(tmp_path, lambda *_: (200, completion("text", "tired")), REQUESTS[:3])
    assert run.go().unknown_endings == {"tired": 3}
    assert any("3 tired" in line for line in run.tally.remarks())
    assert [answer and answer.finish_reason for answer in run.answers()] == ["tired"] * 3


# --- one refused content is one row --------------------------------------------------------------------------

REFUSALS: list[tuple[int, Any]] = [
    (403, error("Your input was flagged", code=403, metadata={"reasons": ["violence"], "flagged_input": "…"})),
    (400, error("no", code="data_inspection_failed", type="data_inspection_failed")),
    (
        400,
        error("The response was filtered", code="content_filter", innererror={"code": "ResponsibleAIPolicyViolation"}),
    ),
    (200, {"choices": [], "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}),
    (200, error("content policy violation", code="content_policy_violation")),
    (200, completion("", "SAFETY")),
    (200, completion("I", "content_filter")),
    (400, {"code": 1301, "msg": "敏感内容"}),
    (422, {"detail": "rejected by the safety system"}),
]


@pytest.mark.parametrize(("status", "body"), REFUSALS)
def test_a_refused_content_is_one_row_and_the_run_goes_on(tmp_path: Path, status: int, body: Any) -> None:
    def answer(asked: dict[str, Any], _: int) -> tuple[int, Any]:
        return (status, body) if "number 5 " in asked["messages"][-1]["content"] else (200, completion("whole"))

    run = Run(tmp_path, answer)
    tally = run.go()
    assert (tally.answered, tally.failed) == (12, [])
    assert [label for label, _ in tally.refused] == ["r5"]
    assert any("1 of 12 withheld" in line for line in tally.remarks())
    refused = run.answers()[5]
    assert refused is not None
    assert not refused.cut
    assert run.go().sent == 0


def test_a_403_without_a_reason_is_the_key_at_first_and_one_row_later(tmp_path: Path) -> None:
    blocked = (403, "<html>Request blocked</html>")
    run = Run(tmp_path, lambda *_: blocked)
    with pytest.raises(InputError, match="api_key_env"):
        run.go()
    assert len(run.server.bodies) == 1

    run = Run(
        tmp_path, lambda asked, _: blocked if "number 5 " in str(asked["messages"]) else (200, completion("whole"))
    )
    tally = run.go()
    assert [label for label, _, _ in tally.failed] == ["r5"]
    assert tally.answered == 11


def test_an_answer_that_failed_validation_at_the_server_is_asked_again(tmp_path: Path) -> None:
    bad = error("Failed to generate JSON.", code="json_validate_failed", failed_generation='{"yes": }')
    run = Run(tmp_path, lambda _, nth: (400, bad) if nth == 1 else (200, completion("whole")), backoff_s=0.001)
    assert (run.go().answered, run.tally.failures) == (12, {"invalid_output": 12})


def test_an_error_under_200_stops_the_run_with_its_own_message(tmp_path: Path) -> None:
    run = Run(tmp_path, lambda *_: (200, {"code": 401, "msg": "this key is unknown to us", "data": None}))
    with pytest.raises(InputError, match="this key is unknown to us"):
        run.go()
    assert len(run.server.bodies) == 1


def test_failures_that_are_no_refusals_for_rate_slow_nothing(tmp_path: Path) -> None:
    """Two thirds of the requests fail, a sixth of all with a 429 and a wait: the others go on meanwhile."""
    faults: list[tuple[int, Any]] = [(500, error("no")), (503, error("no")), (200, {"choices": []}), (200, "<html>")]

    def answer(body: dict[str, Any], nth: int) -> tuple[int, Any]:
        number = int(body["messages"][-1]["content"].split()[2])
        if nth > 3:
            return 200, completion("whole")
        if nth == 1 and number % 2 == 0:
            return 429, error("slow", details=[{"retryDelay": "0.2s"}])
        return faults[(number + nth) % 4]

    run = Run(tmp_path, answer, [request(n) for n in range(100)], concurrency=10, attempts=8, backoff_s=0.001)
    tally = run.go()
    assert (tally.answered, tally.failed, tally.sent) == (100, [], 400)
    assert tally.failing == 0.75
    assert tally.seconds < 9.5  # 50 waits of 0.2 s shared among ten, also on a busy machine; one after the other 10 s


# --- dialects ------------------------------------------------------------------------------------------------

USE_OTHER = error(
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    param="max_tokens",
    code="unsupported_parameter",
)
ONLY_ONE = error(
    "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is supported.",
    param="temperature",
    code="unsupported_value",
)


def reasoning_model(body: dict[str, Any], _: int) -> tuple[int, Any]:
    """Takes neither max_tokens, a temperature, a system message nor a format."""
    if "max_tokens" in body:
        return 400, USE_OTHER
    if "temperature" in body:
        return 400, ONLY_ONE
    if body["messages"][0]["role"] == "system":
        told = "Unsupported value: 'messages[0].role' does not support 'system' with this model."
        return 400, error(told, param="messages[0].role", code="unsupported_value")
    if "response_format" in body:
        return 400, error(
            "Invalid parameter: 'response_format' of type 'json_object' is not supported with this model."
        )
    return 200, completion(json.dumps({"cap": body["max_completion_tokens"]}))


def test_a_dialect_is_learned_once_and_a_restart_asks_nothing(tmp_path: Path) -> None:
    asked = [request(number, response_format={"type": "json_object"}) for number in range(12)]
    run = Run(tmp_path, reasoning_model, asked)
    tally = run.go()
    assert (tally.answered, tally.sent, tally.retried, tally.failing) == (12, 16, 0, 0.0)
    assert set(tally.failures) == {"cap_refused", "temperature_refused", "role_refused", "format_refused"}
    assert "max_completion_tokens" in tally.remarks()[0]
    answer = run.answers()[0]
    assert answer is not None
    assert json.loads(answer.dialect or "") == {
        "cap": "max_completion_tokens",
        "instructions": "user",
        "response_format": "none",
        "temperature": False,
    }
    assert not answer.formatted
    assert run.server.bodies[-1]["messages"][0]["content"].startswith("Reply.\n\nFilm number")
    assert run.go().sent == 0


@pytest.mark.parametrize(
    ("takes", "sent", "told"),
    [
        (("json_schema",), ["json_schema"], ""),
        (("json_object",), ["json_schema", "json_object"], "sent as json_object"),
        ((), ["json_schema", "json_object", "none"], "left out"),
    ],
)
def test_a_refused_schema_is_asked_for_as_an_object_and_then_not_at_all(
    tmp_path: Path, takes: tuple[str, ...], sent: list[str], told: str
) -> None:
    schema = {"name": "replies", "strict": True, "schema": {"type": "object"}}

    def answer(asked: dict[str, Any], _: int) -> tuple[int, Any]:
        kind = asked.get("response_format", {}).get("type", "none")
        if kind in (*takes, "none"):
            return 200, completion("{}")
        return 400, error(f"Invalid value for 'response_format.type': '{kind}' is not supported.")

    form = {"type": "json_schema", "json_schema": schema}
    run = Run(tmp_path, answer, [request(number, response_format=form) for number in range(5)])
    tally = run.go()
    kinds = [body.get("response_format", {}).get("type", "none") for body in run.server.bodies]
    assert kinds == sent[:-1] + sent[-1:] * 5
    assert (tally.answered, tally.failing) == (5, 0.0)
    assert told in "".join(tally.remarks())
    assert {found and found.formatted for found in run.answers()} == {not told}
    assert run.go().sent == 0


def test_many_at_once_learn_it_together(tmp_path: Path) -> None:
    run = Run(tmp_path, reasoning_model, [request(number) for number in range(60)], concurrency=8)
    tally = run.go()
    assert (tally.answered, tally.failed) == (60, [])
    assert tally.sent <= 60 + 3 * 8


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        (USE_OTHER, "max_tokens", None),
        (error("Unknown parameter: max_tokens"), "max_tokens", None),
        ({"detail": [{"loc": ["body", "max_tokens"], "msg": "Extra inputs are not permitted"}]}, "max_tokens", None),
        (ONLY_ONE, "temperature", None),
        (error("`temperature` and `top_p` cannot both be specified for this model"), "temperature", None),
        (error("`temperature` may only be set to 1 when thinking is enabled."), "temperature", None),
        (error("invalid temperature: only 0.6 is allowed for this model"), "temperature", None),
        (error("temperature is deprecated for this model"), "temperature", None),
        (error("System role not supported"), "role", "user"),
        (error("Developer instruction is not enabled for models/x"), "role", "developer"),
        (error("Conversation roles must alternate user/assistant/user/assistant/..."), "role", "user"),
        (error("'system' is not one of ['developer', 'user'] - 'messages.0.role'"), "role", "developer"),
        (error("This response_format type is unavailable now"), "response_format", None),
        ({"error": "json schema is not supported by this model"}, "response_format", None),
        (
            error("'messages' must contain the word 'json' in some form, to use 'response_format'"),
            "response_format",
            None,
        ),
    ],
)
def test_what_is_refused_is_replaced_or_left_out(tmp_path: Path, body: Any, field: str, value: str | None) -> None:
    def answer(asked: dict[str, Any], _: int) -> tuple[int, Any]:
        role = asked["messages"][0]["role"]
        refused = role == "system" if field == "role" else field in asked
        return (400, body) if refused else (200, completion(role))

    run = Run(tmp_path, answer, [request(number, response_format={"type": "json_object"}) for number in range(5)])
    tally = run.go()
    assert (tally.answered, tally.sent) == (5, 6)
    if value is not None:
        assert {found and found.content for found in run.answers()} == {value}


@pytest.mark.parametrize(
    "message",
    [
        "'max_tokens' or 'max_completion_tokens' is too large: 200. The model's maximum context length is 100 tokens.",
        "temperature: range: 0..1",
        "Invalid temperature: must be between 0 and 1",
        "max_tokens must be at most 100",
        "This model's maximum context length is 100 tokens.",
        "Unknown parameter: 'flavour'.",
    ],
)
def test_a_value_that_is_refused_teaches_nothing(tmp_path: Path, message: str) -> None:
    run = Run(tmp_path, lambda *_: (400, error(message)), REQUESTS[:2])
    assert [kind for _, kind, _ in run.go().failed] == ["bad_request"] * 2
    assert run.tally.sent == 2


def test_a_temperature_that_must_be_kept_is_not_left_out(tmp_path: Path) -> None:
    run = Run(
        tmp_path,
        lambda body, _: (400, ONLY_ONE) if "temperature" in body else (200, completion("whole")),
        REQUESTS[:2],
        keep_temperature=True,
    )
    assert [kind for _, kind, _ in run.go().failed] == ["bad_request"] * 2


def test_fields_of_the_users_own_are_sent_and_key_the_journal(tmp_path: Path) -> None:
    own = (("reasoning_effort", "low"), ("provider", {"order": ["a"]}))
    run = Run(tmp_path, lambda *_: (200, completion("whole")), [request(0, extra=own)])
    run.go()
    assert run.server.bodies[0]["reasoning_effort"] == "low"
    assert run.server.bodies[0]["provider"] == {"order": ["a"]}
    assert request(0, extra=own).key("x") != request(0).key("x")


def test_the_addresss_query_reaches_the_server(tmp_path: Path) -> None:
    with OddServer(lambda *_: (200, completion("whole"))) as server, Journal(tmp_path / "j.sqlite") as journal:
        where = Address.of(f"{server.base_url}?api-version=2025-01-01&x=a%20b", KEY)
        before = survey(REQUESTS[:1], journal, where.identity, 200, settings().prices)
        fetch(REQUESTS[:1], where, settings(), journal, before, Tally())
    assert server.paths == ["/v1/chat/completions?api-version=2025-01-01&x=a%20b"] or server.paths == [
        "/v1/chat/completions?api-version=2025-01-01&x=a+b"
    ]
    assert {name.lower(): value for name, value in server.headers[0].items()}["api-key"] == KEY


@pytest.mark.parametrize("query", ["key=abc", "api_key=abc", "x=1&access_token=abc", "sig=abc"])
def test_a_key_in_the_query_is_refused(query: str) -> None:
    with pytest.raises(InputError, match="holds a key") as caught:
        Address.of(f"https://here/v1?{query}", "")
    assert "abc" not in str(caught.value)


# --- what is paid for is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None, "reasoning_content": "all of it", "tool_calls": []},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "all of it"}}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "all of it"}]},
    ],
)
def test_a_message_without_a_text_is_kept_raw_in_the_journal(tmp_path: Path, message: dict[str, Any]) -> None:
    run = Run(tmp_path, lambda *_: (200, completion(message)), REQUESTS[:1])
    run.go()
    (answer,) = run.answers()
    assert answer is not None
    assert answer.content is None
    assert json.loads(answer.raw or "") == message


@pytest.mark.parametrize("text", ["an \ud83d ending", '{"a": "an \\ud83d ending"}'])
def test_a_lone_surrogate_stays_an_escape(tmp_path: Path, text: str) -> None:
    run = Run(tmp_path, lambda *_: (200, completion(text)), REQUESTS[:1])
    run.go()
    (answer,) = run.answers()
    assert answer is not None
    assert "an \\ud83d ending" in (answer.content or "")
