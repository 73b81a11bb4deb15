"""How fast a server may be asked: requests and tokens a minute, `Retry-After`, and backoff.

A pace is the generic cell rate algorithm (ITU-T I.371): a theoretical arrival time moves on by one interval for
each unit admitted, and a unit is admitted when that time is at most `tolerance` ahead. In any window of w seconds
it admits at most 1 + (w + tolerance) / interval units, so there is no burst at the turn of a minute.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# The share of a stated limit that is used, and the share that may come early to catch up after a stall. Together
# they stay under the limit, with a little left for what the network bunches up.
USED, EARLY = 0.98, 0.01
# A longer window is a quota for the day. Spread over it, a run would stand still; the refusal tells when it is used up.
LONGEST_WINDOW_S = 900.0

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float | None:
    """Seconds in a header such as `6m0s`, `1.5s`, `20ms` or a plain number; None when it is none of these."""
    text = text.strip().lower()
    try:
        value = float(text)
    except ValueError:
        parts = _PART.findall(text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            return None
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return value if 0 <= value < 1e9 else None


def parse_retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds a server asks to wait: `retry-after-ms`, or `Retry-After` as seconds or a date (RFC 9110, 10.2.3)."""
    exact = headers.get("retry-after-ms")
    if exact is not None and (value := parse_duration(exact)) is not None:
        return value / 1000
    text = headers.get("retry-after")
    if text is None:
        return None
    seconds = parse_duration(text)
    if seconds is not None:
        return seconds
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())


def draw_backoff(attempt: int, rng: random.Random, base: float = 0.5, cap: float = 30.0) -> float:
    """Seconds to wait after failed attempt `attempt` (from 1): exponential with full jitter (Brooker, AWS 2015)."""
    return rng.uniform(0, min(cap, base * 2 ** min(attempt - 1, 32)))


class Pace:
    """Admits units (requests, tokens) at `per_minute`, or at a rate that a server's headers call for.

    Waiting is in line: the first in line waits for its turn, and sees at once when the rate changes.
    """

    def __init__(self, per_minute: float | None = None) -> None:
        self.ceiling = per_minute * USED / 60 if per_minute else None  # units a second
        self.rate = self.ceiling
        self.tolerance = 60 * EARLY / USED if per_minute else 0.0  # seconds: EARLY of a minute's units
        self._next = 0.0
        self._line = asyncio.Lock()
        self._changed = asyncio.Event()

    async def acquire(self, units: float = 1.0) -> None:
        """Returns when `units` may be sent."""
        if self.rate is None and not self._line.locked():
            return
        async with self._line:
            while True:
                if self.rate is None:
                    return
                now = time.monotonic()
                wait = self._next - self.tolerance - now
                if wait <= 0:
                    self._next = max(self._next, now) + units / self.rate
                    return
                self._changed.clear()
                try:
                    await asyncio.wait_for(self._changed.wait(), wait)
                except TimeoutError:
                    continue

    def correct(self, units: float) -> None:
        """`units` more (or, negative, fewer) than were acquired have been used."""
        if self.rate is not None and units:
            self._next += units / self.rate
            self._changed.set()

    def observe(self, remaining: float, reset: float) -> None:
        """What a server's headers say: `remaining` units, and `reset` seconds until it is full again.

        Spreading what remains over that time uses up a fixed window exactly, and holds a token bucket half full:
        there the rate equals the refill. It is never faster than the profile's own limit.
        """
        asked = max(remaining, 1.0) / reset if reset > 0 else None
        rates = [rate for rate in (asked, self.ceiling) if rate is not None]
        self.set_rate(min(rates) if rates else None)

    def set_rate(self, rate: float | None) -> None:
        """Goes on at another rate (units a second, None for no limit); who waits sees it at once."""
        if rate == self.rate:
            return
        now = time.monotonic()
        ahead = max(0.0, self._next - now)
        if self.rate is not None and rate is not None:  # what was booked at the old rate, at the new one
            self._next = now + ahead * self.rate / rate
        self.rate = rate
        self._changed.set()


class RateLimits:
    """The paces of one server, and the pause it has asked for."""

    def __init__(self, requests_per_minute: int | None, tokens_per_minute: int | None) -> None:
        self.requests, self.tokens = Pace(requests_per_minute), Pace(tokens_per_minute)
        self._resume = 0.0

    async def acquire(self, tokens: float) -> None:
        """Returns when a request of about `tokens` tokens may be sent."""
        await self.tokens.acquire(tokens)
        while (wait := self._resume - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        await self.requests.acquire()

    def pause(self, seconds: float) -> None:
        """Nothing is sent for so long: a 429 with `Retry-After` speaks of the account, not of one request."""
        self._resume = max(self._resume, time.monotonic() + seconds)

    def observe(self, headers: Mapping[str, str]) -> None:
        """Reads `x-ratelimit-*` (OpenAI's names, which compatible servers share)."""
        for kind, pace in (("requests", self.requests), ("tokens", self.tokens)):
            remaining = headers.get(f"x-ratelimit-remaining-{kind}")
            reset = headers.get(f"x-ratelimit-reset-{kind}")
            if remaining is None or reset is None:
                continue
            seconds = parse_duration(reset)
            try:
                left = float(remaining)
            except ValueError:
                continue
            if seconds is not None and seconds <= LONGEST_WINDOW_S and left == left:
                pace.observe(left, seconds)
