from __future__ import annotations

from typing import Any

import pytest

from relearn.endpoint.errors import classify_status, redact


@pytest.mark.parametrize(
    ("status", "error", "kind", "verdict"),
    [
        (401, {"code": "invalid_api_key"}, "auth", "stop"),
        (403, {}, "auth", "stop"),
        (402, {}, "quota", "stop"),
        (429, {"code": "insufficient_quota", "type": "insufficient_quota"}, "quota", "stop"),
        (429, {"code": "rate_limit_exceeded"}, "rate_limit", "retry"),
        (404, {"code": "model_not_found"}, "unknown_model", "stop"),
        (400, {"code": "model_not_found"}, "unknown_model", "stop"),
        (404, {}, "unknown_model", "stop"),
        (307, {}, "redirect", "stop"),
        (400, {"code": "context_length_exceeded"}, "bad_request", "give_up"),
        (400, {"code": "content_filter"}, "content_filter", "filtered"),
        (408, {}, "http_408", "retry"),
        (409, {}, "http_409", "retry"),
        (500, {}, "http_500", "retry"),
        (503, {}, "http_503", "retry"),
        (529, {}, "http_529", "retry"),
        (413, {}, "http_413", "give_up"),
    ],
)
def test_what_follows_from_a_status(status: int, error: dict[str, Any], kind: str, verdict: str) -> None:
    failed = classify_status(status, error, "text", None, False)
    assert (failed.kind, failed.verdict) == (kind, verdict)


def test_a_refused_format_is_told_apart_only_where_one_was_asked_for() -> None:
    error = {"param": "response_format"}
    assert classify_status(400, error, "no", None, True).verdict == "no_format"
    assert classify_status(400, {}, "'json_schema' is not supported", None, True).verdict == "no_format"
    assert classify_status(422, {}, "response_format: unexpected field", None, True).verdict == "no_format"
    assert classify_status(400, error, "no", None, False).verdict == "give_up"
    assert classify_status(400, {}, "too long", None, True).verdict == "give_up"


def test_one_line_blots_out_the_key_and_shortens() -> None:
    assert redact("Bad key:\n  sk-secret here", "sk-secret") == "Bad key: [key] here"
    assert redact("no key is set", "") == "no key is set"
    assert len(redact("x" * 1000, "k")) == 300
