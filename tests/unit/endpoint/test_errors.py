from __future__ import annotations

from typing import Any

import pytest

from relearn.endpoint.errors import classify, find_problem, guess_status, redact


def failed(status: int, body: Any) -> tuple[str, str]:
    problem = find_problem(body)
    assert problem is not None
    found = classify(status, problem, problem.message)
    return found.kind, found.verdict


@pytest.mark.parametrize(
    ("status", "error", "kind", "verdict"),
    [
        (401, {"code": "invalid_api_key"}, "auth", "stop"),
        (403, {}, "forbidden", "doubtful"),
        (403, {"message": "Incorrect API key provided"}, "auth", "stop"),
        (402, {}, "quota", "stop"),
        (403, {"message": "Key limit exceeded (total limit)"}, "quota", "stop"),
        (429, {"code": "insufficient_quota", "type": "insufficient_quota"}, "quota", "stop"),
        (400, {"message": "Your credit balance is too low to access the API."}, "quota", "stop"),
        (429, {"code": "rate_limit_exceeded"}, "rate_limit", "retry"),
        (429, {"message": "Rate limit exceeded: free-requests-per-day"}, "daily_limit", "stop"),
        (429, {"message": "Limit of requests per day. Please try again in 40s."}, "rate_limit", "retry"),
        (404, {"code": "model_not_found"}, "unknown_model", "stop"),
        (400, {"code": "model_not_found"}, "unknown_model", "stop"),
        (400, {"message": "vendor/x is not a valid model ID", "code": 400}, "unknown_model", "stop"),
        (404, {}, "unknown_model", "stop"),
        (307, {}, "redirect", "stop"),
        (400, {"code": "context_length_exceeded"}, "bad_request", "give_up"),
        (400, {"code": "content_filter"}, "content_filter", "filtered"),
        (400, {"code": "json_validate_failed"}, "invalid_output", "retry"),
        (408, {}, "http_408", "retry"),
        (409, {}, "http_409", "retry"),
        (500, {}, "http_500", "retry"),
        (503, {}, "http_503", "retry"),
        (529, {"type": "overloaded_error"}, "http_529", "retry"),
        (413, {}, "http_413", "give_up"),
    ],
)
def test_what_follows_from_a_status(status: int, error: dict[str, Any], kind: str, verdict: str) -> None:
    assert failed(status, {"error": error or {"message": "text"}}) == (kind, verdict)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, {"error": {"code": 403, "message": "no", "metadata": {"flagged_input": "a word", "reasons": ["x"]}}}),
        (403, {"error": {"message": "The prompt violates the provider's acceptable use policy."}}),
        (400, {"error": {"code": "DataInspectionFailed", "message": "no"}}),
        (400, {"code": "data_inspection_failed", "message": "no"}),
        (400, {"error": {"code": "1301", "message": "输入内容包含敏感内容"}}),
        (400, {"error": {"message": "no", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
        (400, {"error": {"type": "invalid_request_error", "code": "content_policy_violation", "message": "no"}}),
        (400, {"error": {"type": "invalid_request_error", "code": "invalid_prompt", "message": "no"}}),
        (400, [{"error": {"code": 400, "message": "blocked", "details": [{"reason": "SAFETY"}]}}]),
        (422, {"detail": "Your request was rejected as a result of our safety system."}),
        (451, {"message": "This text was flagged by moderation"}),
        (400, {"error": {"message": "no", "metadata": {"raw": '{"message": "Content Exists Risk"}'}}}),
        (446, {"error": {"message": "no", "type": "guardrail_blocked"}}),
        (403, {"code": "no permission for this operation", "error": "Content violates usage guidelines: BIO"}),
        (424, {"success": False, "error": [{"code": 2016, "message": "Prompt blocked due to security settings"}]}),
        (400, {"Response": {"Error": {"Code": "FailedOperation.ContentRisk", "Message": "no"}}}),
        (400, {"error_code": 336104, "error_msg": "the text is not safe"}),
        (500, {"error": {"message": "gateway.ContentPolicyViolationError: no", "code": "500"}}),
        (
            400,
            {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"},
            },
        ),
        (403, {"message": "Request denied by the AI firewall: violence"}),
        (400, {"errors": [{"code": 5000, "message": "Prompt contains prohibited content"}]}),
    ],
)
def test_refused_content_is_told_from_a_refused_key(status: int, body: Any) -> None:
    assert failed(status, body) == ("content_filter", "filtered")


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, "Your organization's policy does not permit this model"),
        (403, "Your account is blocked in this region"),
        (400, "The JSON schema violates our rules"),
        (400, "messages: text content blocks must be non-empty"),
        (500, "Something blocked the worker"),
        (503, "The moderation service is unavailable"),
        (429, "Blocked: too many requests"),
    ],
)
def test_what_only_sounds_like_a_refused_content(status: int, message: str) -> None:
    assert failed(status, {"error": {"message": message}})[1] != "filtered"


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"error": {"message": "slow", "code": 429}}, 429, "slow"),
        ({"error": {"message": "slow", "code": "rate_limit_exceeded"}}, 429, "slow"),
        ({"error": "Too many requests", "error_type": "overloaded"}, 429, "Too many requests"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, 503, "busy"),
        ({"code": 401, "msg": "no such key", "data": None}, 401, "no such key"),
        ({"object": "error", "message": "worker gone", "code": 50002}, 502, "worker gone"),
        ({"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}, 429, "rate limit"),
        (
            {"error_code": 18, "error_msg": "Open api qps request limit reached"},
            502,
            "Open api qps request limit reached",
        ),
        ({"Response": {"Error": {"Code": "InternalError", "Message": "again"}}}, 503, "again"),
        ({"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs"}]}, 502, "Extra inputs"),
        ({"status": 504, "message": "gateway"}, 504, "gateway"),
    ],
)
def test_an_error_under_status_200_has_its_own_status_and_message(body: Any, status: int, message: str) -> None:
    problem = find_problem(body)
    assert problem is not None
    assert (guess_status(problem), problem.message) == (status, message)


@pytest.mark.parametrize(
    "body", [{}, [], None, 3, {"choices": []}, {"error": None, "choices": []}, {"base_resp": {"status_code": 0}}]
)
def test_what_is_no_error(body: Any) -> None:
    assert find_problem(body) is None


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        ({"message": "Please retry in 4.5s."}, 4.5),
        ({"message": "try again in 20 seconds"}, 20.0),
        ({"message": "no", "details": [{"retryDelay": "7s"}]}, 7.0),
        ({"message": "no"}, None),
    ],
)
def test_the_wait_that_an_error_names(error: dict[str, Any], wait: float | None) -> None:
    problem = find_problem({"error": error})
    assert problem is not None
    assert classify(429, problem, problem.message).wait == wait
    assert classify(429, problem, problem.message, 2.0).wait == 2.0


def test_one_line_blots_out_the_key_and_shortens() -> None:
    assert redact("Bad key:\n  sk-secret here", "sk-secret") == "Bad key: [key] here"
    assert redact("no key is set", "") == "no key is set"
    assert len(redact("x" * 1000, "k")) == 300
