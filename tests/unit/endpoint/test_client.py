from __future__ import annotations

import asyncio
import json
import socket
import threading
from typing import Any

import pytest

from relearn.endpoint.client import Client
from relearn.endpoint.errors import Failed
from relearn.endpoint.limits import RateLimits
from relearn.endpoint.request import Address, ServerAnswer
from relearn.mini.server import Quota
from tests.unit.endpoint.asked import KEY, address, request, server


def exchange(where: Address, timeout_s: float = 5.0, limits: RateLimits | None = None, **more: Any) -> ServerAnswer:
    async def run() -> ServerAnswer:
        async with Client(where, timeout_s, 4, limits or RateLimits(None, None)) as client:
            return await client.exchange(request(**more))

    return asyncio.run(run())


def failure(script: str, timeout_s: float = 5.0, **more: Any) -> Failed:
    with server([script]) as running, pytest.raises(Failed) as caught:
        exchange(address(running), timeout_s, **more)
    return caught.value


def test_an_answer_is_read_as_it_is() -> None:
    with server() as running:
        answer = exchange(address(running))
    assert json.loads(answer.content or "") == {
        "agree": "Yes: Film number 0 was fine.",
        "disagree": "No: Film number 0 was fine.",
    }
    assert (answer.finish_reason, answer.refusal, answer.model) == ("stop", None, "m")
    assert answer.formatted
    assert answer.prompt_tokens == 4 + 2 + 4 + 6  # Reply . / Film number 0 was fine . with a frame of 4 each
    assert answer.completion_tokens


@pytest.mark.parametrize(
    ("script", "kind", "verdict", "billed"),
    [
        ("rate_limit_bare", "rate_limit", "retry", False),
        ("server_error", "http_500", "retry", False),
        ("unavailable", "http_503", "retry", False),
        ("reset", "connection", "retry", True),
        ("not_json", "not_json", "retry", True),
        ("no_choices", "no_choices", "retry", True),
        ("auth", "auth", "stop", False),
        ("quota", "quota", "stop", False),
        ("unknown_model", "unknown_model", "stop", False),
        ("busy_long", "wait_too_long", "stop", False),
    ],
)
def test_every_fault_is_told_apart(script: str, kind: str, verdict: str, billed: bool) -> None:
    failed = failure(script)
    assert (failed.kind, failed.verdict, failed.billed) == (kind, verdict, billed)
    assert "\n" not in failed.detail


def test_a_stall_ends_at_the_timeout() -> None:
    failed = failure("stall", timeout_s=0.2)
    assert (failed.kind, failed.verdict, failed.billed) == ("timeout", "retry", True)


def test_retry_after_is_read() -> None:
    assert failure("rate_limit").wait == 1.0
    assert failure("rate_limit_bare").wait is None


@pytest.mark.parametrize(
    ("script", "content", "refusal", "finish"),
    [
        ("null_content", None, None, "stop"),
        ("refusal", None, "I'm sorry, but I can't help with that request.", "stop"),
        ("content_filter", None, None, "content_filter"),
    ],
)
def test_poor_answers_are_answers(script: str, content: str | None, refusal: str | None, finish: str) -> None:
    with server([script]) as running:
        answer = exchange(address(running))
    assert (answer.content, answer.refusal, answer.finish_reason) == (content, refusal, finish)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Failed) as caught:
        exchange(Address.of(f"http://127.0.0.1:{port}/v1", KEY))
    assert (caught.value.kind, caught.value.verdict) == ("unreachable", "retry")


def raw_server(response: bytes) -> tuple[int, threading.Thread]:
    """Answers one connection with these bytes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with listener, listener.accept()[0] as link:
            link.recv(65536)
            link.sendall(response)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return listener.getsockname()[1], thread


def raw_exchange(status: str, body: str) -> ServerAnswer:
    data = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    port, thread = raw_server(head.encode() + data)
    try:
        return exchange(Address.of(f"http://127.0.0.1:{port}/v1", KEY))
    finally:
        thread.join(5)


def test_an_echoed_key_is_blotted_out() -> None:
    with pytest.raises(Failed) as caught:
        raw_exchange("401 Unauthorized", json.dumps({"error": {"message": f"Wrong key {KEY}."}}))
    assert KEY not in str(caught.value)
    assert "[key]" in caught.value.detail
    assert caught.value.__cause__ is None  # the client's error holds the request with its headers


@pytest.mark.parametrize(
    "body",
    ["[]", "null", '{"choices": null}', '{"choices": [null]}', '{"choices": [{}]}', '{"choices": [{"message": 3}]}'],
)
def test_json_that_is_no_answer(body: str) -> None:
    with pytest.raises(Failed) as caught:
        raw_exchange("200 OK", body)
    assert caught.value.kind == "no_choices"


def test_a_body_nested_too_deeply() -> None:
    with pytest.raises(Failed) as caught:
        raw_exchange("200 OK", "[" * 100_000)
    assert caught.value.kind == "not_json"


def test_an_answer_without_usage_or_model_and_in_parts() -> None:
    message = {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    answer = raw_exchange("200 OK", json.dumps({"choices": [{"message": message}]}))
    assert (answer.content, answer.finish_reason, answer.model) == ("ab", None, "m")
    assert json.loads(answer.raw or "") == message


def test_the_servers_headers_reach_the_limits() -> None:
    limits = RateLimits(None, None)
    with server(quota=Quota(600)) as running:
        exchange(address(running), limits=limits)
    assert limits.requests.rate is not None
