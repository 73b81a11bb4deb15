"""One exchange with a chat-completions server through the `openai` client: an answer, or a `Failed`.

Retries are left to the caller (the client's own are off), since they have to pass the limits and be counted.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import aiohttp
import httpx2
import openai

from relearn.endpoint.dialect import PLAIN, Dialect
from relearn.endpoint.errors import Failed, Problem, blot_out, classify, find_problem, redact
from relearn.endpoint.limits import RateLimits, parse_retry_after
from relearn.endpoint.reading import read_body
from relearn.endpoint.request import Address, Request, ServerAnswer

LONGEST_RAW = 20_000  # characters kept of an error's body


class Client:
    """Sends requests to one server; an asynchronous context manager.

    `limits` hears what the response headers say. aiohttp carries the requests: it costs less CPU for each than
    the default transport (bench/generation_rate.py).
    """

    def __init__(self, address: Address, timeout_s: float, concurrency: int, limits: RateLimits) -> None:
        self.address, self.timeout_s, self.limits = address, timeout_s, limits
        self._api = openai.AsyncOpenAI(
            **locate(address),
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

    async def exchange(self, request: Request, dialect: Dialect = PLAIN) -> ServerAnswer:
        """Sends the request once, put in this dialect; raises Failed when there is no answer."""
        body = dialect.put(request.body())
        try:
            async with asyncio.timeout(self.timeout_s):
                response = await self._api.post("/chat/completions", cast_to=httpx2.Response, body=body)
        except TimeoutError:
            raise Failed("timeout", f"no answer within {self.timeout_s:g} s", billed=True) from None
        except openai.APIStatusError as error:
            self.limits.observe(error.response.headers)
            raise read_refusal(error, self.address.api_key) from None
        except openai.APIConnectionError as error:
            raise read_break(error, self.address.api_key) from None
        self.limits.observe(response.headers)
        return dialect.mark(read_body(response.content, request.model, self.address.api_key), request)


def read_refusal(error: openai.APIStatusError, secret: str) -> Failed:
    """The failure that a status of 300 and above stands for."""
    response = error.response
    try:
        problem = find_problem(json.loads(response.content))
    except (ValueError, RecursionError):
        problem = None
    problem = problem or Problem(response.text)
    wait = parse_retry_after(response.headers)
    failed = classify(error.status_code, problem, redact(problem.message, secret), wait)
    failed.raw, failed.status = failed.raw or blot_out(response.text[:LONGEST_RAW], secret), error.status_code
    return failed


def read_break(error: BaseException, secret: str) -> Failed:
    """The failure of a connection; told from its causes, since the layers in between rename it."""
    cause: BaseException | None = error
    while cause is not None:
        error = cause
        if isinstance(error, aiohttp.ClientConnectorError | httpx2.ConnectError):
            return Failed("unreachable", redact(str(error), secret))
        cause = error.__cause__
    return Failed("connection", redact(str(error) or type(error).__name__, secret), billed=True)


def locate(address: Address) -> dict[str, Any]:
    """An address as the `openai` client takes it: key, base, query, headers."""
    where = urlsplit(address.base_url)
    return {
        "api_key": address.api_key,
        "base_url": urlunsplit((*where[:3], "", "")),
        "default_query": dict(parse_qsl(where.query, keep_blank_values=True)),
        # Azure's older paths, which name their version in the query, want the key under its own name.
        "default_headers": {"api-key": address.api_key} if "api-version" in where.query else {},
    }
