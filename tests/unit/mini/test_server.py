from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from relearn.mini.completions import Teacher
from relearn.mini.faults import FaultPlan
from relearn.mini.server import Quota, Server


def words(review: str, seed: int) -> tuple[str, str]:
    return f"Yes: {review}", f"No: {review}"


def server(*script: str, **more: Any) -> Server:
    return Server(Teacher(0, {}, words), faults=FaultPlan(script=script), **more)


def post(url: str, body: object, path: str = "/chat/completions", timeout: float = 10) -> tuple[int, Any, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    asked = urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=timeout) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def ask(number: int = 0, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": f"Film {number}."}], **more}


def test_it_answers_on_a_free_port_and_is_gone_afterwards() -> None:
    with server() as one, server() as two:
        assert one.port != two.port
        status, headers, body = post(one.base_url, ask())
        assert status == 200
        assert headers["Content-Type"].startswith("application/json")
        assert json.loads(json.loads(body)["choices"][0]["message"]["content"])["agree"] == "Yes: Film 0."
    with pytest.raises(urllib.error.URLError):
        post(one.base_url, ask(), timeout=2)
    assert "embedded-teacher" not in {thread.name for thread in threading.enumerate()}


def test_many_at_once_wait_for_the_latency_together() -> None:
    with server(latency_s=0.3) as running, ThreadPoolExecutor(20) as pool:
        started = time.monotonic()
        found = list(pool.map(lambda number: post(running.base_url, ask(number))[0], range(20)))
        assert time.monotonic() - started < 3  # one after the other would take 6 s
        assert found == [200] * 20
        assert (running.arrived, len(running.seen)) == (20, 20)


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("rate_limit", 429, "rate_limit_exceeded"),
        ("rate_limit_bare", 429, "rate_limit_exceeded"),
        ("server_error", 500, None),
        ("unavailable", 503, None),
        ("auth", 401, "invalid_api_key"),
        ("quota", 429, "insufficient_quota"),
        ("unknown_model", 404, "model_not_found"),
    ],
)
def test_errors(kind: str, status: int, code: str | None) -> None:
    with server(kind) as running:
        found, headers, body = post(running.base_url, ask())
    assert found == status
    assert json.loads(body)["error"]["code"] == code
    assert headers["Retry-After"] == ("1" if kind == "rate_limit" else None)


def test_a_reset_comes_in_the_middle_of_the_body() -> None:
    with server("reset") as running, socket.create_connection(("127.0.0.1", running.port)) as link:
        body = json.dumps(ask()).encode()
        link.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        received: list[bytes] = []

        def read() -> None:
            while chunk := link.recv(65536):
                received.append(chunk)

        with pytest.raises(ConnectionResetError):  # RST: not an orderly end
            read()
    assert not received or received[0].startswith(b"HTTP/1.1 200 OK")


def test_a_stall_says_nothing() -> None:
    with server("stall") as running:
        with pytest.raises(TimeoutError):
            post(running.base_url, ask(), timeout=0.3)
        assert post(running.base_url, ask())[0] == 200


def test_answers_in_form_only() -> None:
    with server("not_json", "no_choices", "null_content", "refusal", "content_filter") as running:
        assert post(running.base_url, ask())[2].startswith(b"<html>")
        assert json.loads(post(running.base_url, ask())[2])["choices"] == []
        (null,) = json.loads(post(running.base_url, ask())[2])["choices"]
        assert null["message"]["content"] is None
        (refusal,) = json.loads(post(running.base_url, ask())[2])["choices"]
        assert refusal["message"]["refusal"]
        (filtered,) = json.loads(post(running.base_url, ask())[2])["choices"]
        assert filtered["finish_reason"] == "content_filter"


@pytest.mark.parametrize("body", [b"not json", b"[]", b"\xff", b"{}"])
def test_a_request_that_is_none(body: bytes) -> None:
    with server() as running:
        status, _, answer = post(running.base_url, body)
    assert status == 400
    assert json.loads(answer)["error"]["message"]


def test_other_paths() -> None:
    with server() as running:
        assert post(running.base_url, ask(), "/embeddings")[0] == 404
        with urllib.request.urlopen(f"http://127.0.0.1:{running.port}/health") as response:
            assert response.status == 200


def test_a_quota_refuses_and_says_how_much_is_left() -> None:
    with server(quota=Quota(3)) as running:
        found = [post(running.base_url, ask(number)) for number in range(4)]
    assert [status for status, _, _ in found] == [200, 200, 200, 429]
    assert [headers["x-ratelimit-remaining-requests"] for _, headers, _ in found] == ["2", "1", "0", "0"]
    assert float(found[3][1]["x-ratelimit-reset-requests"].rstrip("s")) == pytest.approx(60, abs=2)


def test_a_quota_refills() -> None:
    quota = Quota(6000)
    for _ in range(6000):
        quota.level -= 1
    assert not quota.admit()[0]
    time.sleep(0.05)
    assert quota.admit()[0]


def test_the_log_has_a_line_for_each_arrival() -> None:
    log = io.StringIO()
    with server("server_error", log=log) as running:
        post(running.base_url, ask(1))
        post(running.base_url, ask(1, max_tokens=9))
    one, two = (json.loads(line) for line in log.getvalue().splitlines())
    assert (one["fault"], two["fault"]) == ("server_error", None)
    assert one["messages"] == two["messages"]
    assert (one["cap"], two["cap"]) == (None, 9)


def test_a_taken_port_is_an_error() -> None:
    with server() as running, pytest.raises(OSError, match="in use"):
        server(port=running.port).start()


def test_the_command_serves_until_it_is_ended() -> None:
    command = [sys.executable, "-m", "relearn.mini.server", "--seed", "3", "--breakage", "fence=1"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        message = json.loads(post(url, ask())[2])["choices"][0]["message"]
        assert message["content"].startswith("```")
    finally:
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 0
        child.stdout.close()


@pytest.mark.parametrize("wrong", [["--fault", "flood=1"], ["--breakage", "mud=1"], ["--fault", "stall"]])
def test_the_command_names_what_is_wrong(wrong: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "relearn.mini.server", *wrong], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
