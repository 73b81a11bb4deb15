"""The embedded teacher's server: OpenAI's chat completions on loopback, answered by rules instead of a model.

The stage starts one on a free port and stops it again. By hand, for a trial or a benchmark:

    python -m relearn.mini.server --port 8000 --latency 0.3 --fault server_error=0.05

What it answers is `completions`; what goes wrong on the way is `faults`.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from aiohttp import web

from relearn.mini import breakage as breaking
from relearn.mini.completions import ChatModel, Teacher
from relearn.mini.faults import FAILURES, KINDS, FaultPlan, HttpFailure


class Quota:
    """Requests a minute that the server admits: a bucket refilled evenly, and full at the start.

    It holds a minute's requests, or `burst`. `silent` keeps the headers back.
    """

    def __init__(self, per_minute: int, burst: int | None = None, silent: bool = False) -> None:
        self.per_minute, self.limit, self.silent = per_minute, burst or per_minute, silent
        self.level, self.seen = float(self.limit), time.monotonic()

    def admit(self) -> tuple[bool, dict[str, str]]:
        """Whether one more request fits, and OpenAI's headers that say how full the bucket is."""
        now, rate = time.monotonic(), self.per_minute / 60
        self.level = min(self.limit, self.level + (now - self.seen) * rate)
        self.seen = now
        fits = self.level >= 1
        if fits:
            self.level -= 1
        if self.silent:
            return fits, {}
        return fits, {
            "x-ratelimit-limit-requests": str(self.limit),
            "x-ratelimit-remaining-requests": str(int(self.level)),
            "x-ratelimit-reset-requests": f"{(self.limit - self.level) / rate:.3f}s",
        }


class Server:
    """Serves a model by rules on loopback, on a thread of its own; a context manager.

    `seen` counts the answers sent out whole, by the hash of the messages; `log`, when given, gets a line of JSON
    for each request that arrives. `stall_s` is how long a stalled request is left hanging.
    """

    def __init__(
        self,
        model: ChatModel,
        *,
        faults: FaultPlan | None = None,
        latency_s: float = 0.0,
        port: int = 0,
        quota: Quota | None = None,
        stall_s: float = 600.0,
        log: TextIO | None = None,
    ) -> None:
        self.model, self.faults, self.latency_s, self.port = model, faults or FaultPlan(), latency_s, port
        self.quota, self.stall_s, self.log = quota, stall_s, log
        self.seen: dict[str, int] = {}
        self.arrived = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="embedded-teacher", daemon=True)

    @property
    def base_url(self) -> str:
        """The address a client is given."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> Server:
        """Returns once the server listens; OSError when the port is taken."""
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error
        return self

    def stop(self) -> None:
        """Ends the server; requests still open are dropped."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that called start()
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        try:
            listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
            self.port = listener.getsockname()[1]
            await web.SockSite(runner, listener).start()
            self._ready.set()
            await self._stop.wait()
        finally:
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path in ("/health", "/v1/health"):
            return web.json_response({"status": "ok"})
        if request.path == "/v1/models":
            return web.json_response(
                {"object": "list", "data": [{"id": "mini-teacher", "object": "model", "owned_by": "relearn"}]}
            )
        if request.path != "/v1/chat/completions" or request.method != "POST":
            return _error(HttpFailure(404, f"no such path: {request.path}", "invalid_request_error"))
        raw = await request.read()
        try:
            asked = json.loads(raw)
            if not isinstance(asked, dict):
                raise ValueError("the body must be a JSON object")
            body = self.model.answer(asked)
        except ValueError as problem:
            return _error(HttpFailure(400, str(problem), "invalid_request_error"))
        self.arrived += 1
        name = digest(asked["messages"])
        headers: dict[str, str] = {}
        fault: str | None = None
        if self.quota is not None:
            admitted, headers = self.quota.admit()
            fault = None if admitted else "rate_limit_bare"
        fault = fault or self.faults.next()
        if self.log is not None:
            line = {"time": time.time(), "messages": name, "cap": asked.get("max_tokens"), "fault": fault}
            self.log.write(json.dumps(line) + "\n")
            self.log.flush()
        if fault in FAILURES:
            return _error(FAILURES[fault], headers)
        if fault == "stall":
            return await self._stall(request)
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        text = json.dumps(_spoil(body, fault), ensure_ascii=False)
        if fault == "not_json":
            return web.Response(text="<html><body>Bad gateway</body></html>", content_type="text/html")
        if fault == "reset":
            return await _reset(request, text.encode())
        self.seen[name] = self.seen.get(name, 0) + 1
        return web.Response(text=text, content_type="application/json", headers=headers)

    async def _stall(self, request: web.BaseRequest) -> web.StreamResponse:
        """Says nothing until the client has gone."""
        until = time.monotonic() + self.stall_s
        while time.monotonic() < until and request.transport is not None and not request.transport.is_closing():
            await asyncio.sleep(0.05)
        return _error(FAILURES["unavailable"])


def digest(messages: object) -> str:
    """The name of a list of messages in `seen` and in the log: SHA-256 (hex) of its JSON."""
    return hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()


def _spoil(body: dict[str, Any], fault: str | None) -> dict[str, Any]:
    """The body of an answer that is one in form only."""
    choice = body["choices"][0]
    if fault == "no_choices":
        return {**body, "choices": []}
    if fault == "null_content":
        return {**body, "choices": [{**choice, "message": {"role": "assistant", "content": None}}]}
    if fault == "refusal":
        message = {"role": "assistant", "content": None, "refusal": breaking.REFUSALS[0]}
        return {**body, "choices": [{**choice, "message": message}]}
    if fault == "content_filter":
        message = {"role": "assistant", "content": None, "refusal": None}
        return {**body, "choices": [{**choice, "message": message, "finish_reason": "content_filter"}]}
    return body


def _error(failure: HttpFailure, headers: Mapping[str, str] | None = None) -> web.Response:
    extra = dict(headers or {})
    if failure.retry_after is not None:
        extra["Retry-After"] = str(failure.retry_after)
    return web.Response(text=failure.body(), status=failure.status, content_type="application/json", headers=extra)


async def _reset(request: web.BaseRequest, body: bytes) -> web.StreamResponse:
    """Sends half of the body, then resets the connection (RST, not FIN)."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    transport = request.transport
    if transport is not None:
        link = transport.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return response


def _rate(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, float(value)


def main(arguments: list[str] | None = None) -> None:
    """Serves until it is ended; prints the address first."""
    parser = argparse.ArgumentParser(description="The embedded teacher as an OpenAI-compatible server.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--seed", type=int, default=0, help="of the answers, of how they break, and of the faults")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds an answer takes")
    for option, what, kinds in (
        ("--breakage", "share of the answers that break in this way", breaking.KINDS),
        ("--fault", "share of the requests that fail in this way", KINDS),
    ):
        told = f"{what}; may be given several times; KIND is one of {', '.join(kinds)}"
        parser.add_argument(option, type=_rate, action="append", default=[], metavar="KIND=RATE", help=told)
    parser.add_argument("--requests-per-minute", type=int, help="admit no more, and say so in headers")
    parser.add_argument("--log", type=Path, help="a line of JSON for each request that arrives")
    options = parser.parse_args(arguments)
    try:
        faults = FaultPlan(dict(options.fault), options.seed)
    except ValueError as problem:
        parser.error(str(problem))
    unknown = [kind for kind, _ in options.breakage if kind not in breaking.KINDS]
    if unknown:
        parser.error(f"{unknown[0]!r} is not a kind of breakage; use one of {', '.join(breaking.KINDS)}")
    log = options.log.open("a", encoding="utf-8") if options.log else None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with Server(
            Teacher(options.seed, dict(options.breakage)),
            faults=faults,
            latency_s=options.latency,
            port=options.port,
            quota=Quota(options.requests_per_minute) if options.requests_per_minute else None,
            log=log,
        ) as server:
            print(server.base_url, flush=True)
            signal.pause()
    except OSError as problem:
        parser.error(f"port {options.port}: {problem.strerror}")
    except KeyboardInterrupt:
        pass
    finally:
        if log is not None:
            log.close()


if __name__ == "__main__":
    main()
