"""One exchange with a chat-completions server through the `openai` client: an answer, or a `Failed`.

Retries are left to the caller (the client's own are off), since they have to pass the limits and be counted.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import httpx2
import openai

from relearn.endpoint.errors import Failed, classify_status, redact
from relearn.endpoint.limits import RateLimits, parse_retry_after
from relearn.endpoint.request import Address, Request, ServerAnswer

# A Retry-After longer than this is a daily limit: the run stops rather than hang on.
LONGEST_WAIT_S = 900.0


class Client:
    """Sends requests to one server; an asynchronous context manager.

    `limits` hears what the response headers say. aiohttp carries the requests: it costs less CPU for each than
    the default transport (bench/generation_rate.py).
    """

    def __init__(self, address: Address, timeout_s: float, concurrency: int, limits: RateLimits) -> None:
        self.address, self.timeout_s, self.limits = address, timeout_s, limits
        self._api = openai.AsyncOpenAI(
            api_key=address.api_key,
            base_url=address.base_url,
            max_retries=0,
            timeout=None,  # asyncio.timeout bounds the whole exchange; the transport's bounds each read
            http_client=openai.DefaultAioHttpClient(
                limits=httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
                timeout=None,
                trust_env=not address.loopback,
                follow_redirects=False,
            ),
        )

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._api.close()

    async def exchange(self, request: Request, formatted: bool = True) -> ServerAnswer:
        """Sends the request once; Failed when no answer comes of it. `formatted` False leaves the format out."""
        body = request.body()
        if not formatted:
            body.pop("response_format", None)
        asked = "response_format" in body
        try:
            async with asyncio.timeout(self.timeout_s):
                response = await self._api.post("/chat/completions", cast_to=httpx2.Response, body=body)
        except TimeoutError:
            raise Failed("timeout", f"no answer within {self.timeout_s:g} s", billed=True) from None
        except openai.APIStatusError as error:
            self.limits.observe(error.response.headers)
            raise self._refused(error, asked) from None
        except openai.APIConnectionError as error:
            raise self._broken(error) from None
        self.limits.observe(response.headers)
        return self._read(response.content, request, formatted or request.response_format is None)

    def _refused(self, error: openai.APIStatusError, asked: bool) -> Failed:
        found = error.body if isinstance(error.body, dict) else {}
        inner = found.get("error")
        found = inner if isinstance(inner, dict) else found
        text = found.get("message") or found.get("detail") or error.response.text
        detail = redact(str(text), self.address.api_key)
        wait = parse_retry_after(error.response.headers)
        failed = classify_status(error.status_code, found, detail, wait, asked)
        if wait is not None and wait > LONGEST_WAIT_S and failed.verdict == "retry":
            return Failed("wait_too_long", f"the server asks to wait {wait:.0f} s ({failed.detail})", "stop")
        return failed

    def _broken(self, error: BaseException) -> Failed:
        """The failure of a connection; told from its causes, since the layers in between rename it."""
        cause: BaseException | None = error
        while cause is not None:
            error = cause
            if isinstance(error, aiohttp.ClientConnectorError):
                return Failed("unreachable", redact(str(error), self.address.api_key))
            cause = error.__cause__
        detail = redact(str(error) or type(error).__name__, self.address.api_key)
        return Failed("connection", detail, billed=True)

    def _read(self, raw: bytes, request: Request, formatted: bool) -> ServerAnswer:
        """The answer in a body of status 200."""
        try:
            body: Any = json.loads(raw)
        except (ValueError, RecursionError):
            shown = redact(raw[:80].decode("utf-8", "replace"), self.address.api_key)
            raise Failed("not_json", f"the body is not JSON: {shown!r}", billed=True) from None
        choices = body.get("choices") if isinstance(body, dict) else None
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            raise Failed("no_choices", "the answer holds no choices", billed=True)
        choice = choices[0]
        message = choice.get("message")
        if not isinstance(message, dict):
            raise Failed("no_choices", "the first choice holds no message", billed=True)
        content, refusal = message.get("content"), message.get("refusal")
        if isinstance(content, list):  # some servers answer in parts
            content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
        usage = body.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        finish, model = choice.get("finish_reason"), body.get("model")
        return ServerAnswer(
            content=content if isinstance(content, str) else None,
            finish_reason=finish if isinstance(finish, str) else None,
            refusal=refusal if isinstance(refusal, str) and refusal else None,
            model=model if isinstance(model, str) and model else request.model,
            prompt_tokens=_count(usage.get("prompt_tokens")),
            completion_tokens=_count(usage.get("completion_tokens")),
            formatted=formatted,
        )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
