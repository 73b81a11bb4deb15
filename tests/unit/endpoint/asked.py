"""What the endpoint's tests share: a server with a script, requests to it, and settings that do not dawdle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from relearn.endpoint.request import Address, Request
from relearn.endpoint.tally import AskSettings
from relearn.mini.completions import Teacher
from relearn.mini.faults import FaultPlan
from relearn.mini.server import Server

KEY = "sk-planted-0123456789abcdef"
IDENTITY = "test-server"


def words(review: str, seed: int) -> tuple[str, str]:
    """A teacher's words: short, and telling which review they answer."""
    return f"Yes: {review}", f"No: {review}"


def server(
    script: Sequence[str] = (),
    rates: Mapping[str, float] | None = None,
    breakage: Mapping[str, float] | None = None,
    seed: int = 0,
    **more: Any,
) -> Server:
    """A server on loopback, not started."""
    return Server(Teacher(seed, breakage or {}, words), faults=FaultPlan(rates, seed, script), **more)


def address(running: Server) -> Address:
    """Its address, with a key that must never be seen."""
    return Address.of(running.base_url, KEY, IDENTITY)


def request(number: int = 0, max_tokens: int = 200, **more: Any) -> Request:
    """A request with a text of its own."""
    return Request(
        model="m",
        messages=(("system", "Reply."), ("user", f"Film number {number} was fine.")),
        temperature=0.5,
        max_tokens=max_tokens,
        label=f"r{number}",
        **more,
    )


def settings(**more: Any) -> AskSettings:
    """Settings for a fast test."""
    defaults: dict[str, Any] = {
        "concurrency": 8,
        "timeout_s": 5.0,
        "attempts": 4,
        "max_tokens_limit": 200,
        "backoff_s": 0.01,
    }
    return AskSettings(**{**defaults, **more})
