from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relearn.endpoint import limits
from relearn.endpoint.limits import Pace, RateLimits, draw_backoff, parse_duration, parse_retry_after


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6m0s", 360), ("1.5s", 1.5), ("20ms", 0.02), ("1h2m3s", 3723), ("7", 7), ("0.25", 0.25), ("0s", 0)],
)
def test_durations_as_servers_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "1s later", "-3", "nan", "inf", "1735689600000", "s"])
def test_what_is_no_duration(text: str) -> None:
    assert parse_duration(text) is None


@given(st.text())
def test_no_header_makes_it_fail(text: str) -> None:
    value = parse_duration(text)
    assert value is None or value >= 0
    wait = parse_retry_after({"retry-after": text})
    assert wait is None or wait >= 0


def test_retry_after_in_seconds_in_milliseconds_and_as_a_date() -> None:
    now = datetime(2025, 10, 21, 7, 27, 30, tzinfo=UTC)
    assert parse_retry_after({"retry-after": "120"}) == 120
    assert parse_retry_after({"retry-after": "120", "retry-after-ms": "1500"}) == 1.5
    # The date form of RFC 9110, section 10.2.3.
    assert parse_retry_after({"retry-after": "Tue, 21 Oct 2025 07:28:00 GMT"}, now) == 30
    assert parse_retry_after({"retry-after": "Tue, 21 Oct 2025 07:27:00 GMT"}, now) == 0
    assert parse_retry_after({}) is None


def test_backoff_has_full_jitter_and_a_cap() -> None:
    rng = random.Random(1)
    draws = [draw_backoff(4, rng, base=0.5, cap=30) for _ in range(2000)]
    assert 0 <= min(draws) < 0.1
    assert 3.9 < max(draws) <= 4  # 0.5 * 2 ** 3
    assert sum(draws) / len(draws) == pytest.approx(2, rel=0.05)
    assert max(draw_backoff(500, rng, base=0.5, cap=30) for _ in range(200)) <= 30


class Clock:
    """A clock of the test's own, so that minutes pass at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(limits.time, "monotonic", lambda: self.now)

        async def wait_for(waited: object, timeout: float) -> None:
            waited.close()  # type: ignore[attr-defined]
            self.now += timeout
            raise TimeoutError

        monkeypatch.setattr(limits.asyncio, "wait_for", wait_for)


@pytest.mark.parametrize("limit", [3, 60, 600, 10_000])
def test_no_window_of_a_minute_holds_more_than_the_limit(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    clock = Clock(monkeypatch)

    async def run() -> list[float]:
        pace, times = Pace(limit), []
        for number in range(4 * limit):
            await pace.acquire()
            times.append(clock.now)
            if number == 2 * limit:
                clock.now += 20  # a stall must not be made up for in a burst
        return times

    times = asyncio.run(run())
    start = 0
    for end, time_of_end in enumerate(times):
        while time_of_end - times[start] > 60:
            start += 1
        assert end - start + 1 <= limit
    first_full = sum(1 for moment in times if times[0] + 60 <= moment < times[0] + 120)
    assert first_full >= 0.95 * limit - 1


def test_without_a_limit_nothing_waits() -> None:
    async def run() -> float:
        pace, started = Pace(), time.monotonic()
        for _ in range(1000):
            await pace.acquire()
        return time.monotonic() - started

    assert asyncio.run(run()) < 0.5


def test_tokens_used_beyond_the_guess_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    async def run() -> float:
        pace = Pace(6000)
        await pace.acquire(100)
        pace.correct(5900 * limits.USED)  # it was sixty times as much
        await pace.acquire(100)
        return clock.now - 1000

    assert 58 <= asyncio.run(run()) <= 62


def test_headers_set_a_pace_that_uses_up_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    async def run() -> float:
        both = RateLimits(None, None)
        both.observe({"x-ratelimit-remaining-requests": "30", "x-ratelimit-reset-requests": "1m0s"})
        for _ in range(31):
            await both.acquire(10)
        return clock.now - 1000

    assert asyncio.run(run()) == pytest.approx(60, abs=0.1)


def test_a_token_bucket_is_held_half_full_at_its_refill_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket of 600 refilled at 10 a second, as OpenAI's headers describe it: reset is the time until full."""
    clock = Clock(monkeypatch)

    async def run() -> list[float]:
        both, level, seen, times = RateLimits(None, None), 600.0, clock.now, []
        for _ in range(3000):
            await both.requests.acquire()
            clock.now += 0.001
            level, seen = min(600.0, level + (clock.now - seen) * 10), clock.now
            assert level >= 1, "the server would have refused"
            level -= 1
            times.append(clock.now)
            both.observe(
                {
                    "x-ratelimit-remaining-requests": str(int(level)),
                    "x-ratelimit-reset-requests": f"{(600 - level) / 10:.3f}s",
                }
            )
        return times

    times = asyncio.run(run())
    assert 1000 / (times[-1] - times[-1001]) == pytest.approx(10, rel=0.05)


def test_headers_never_lift_the_profiles_limit() -> None:
    both = RateLimits(60, None)
    both.observe({"x-ratelimit-remaining-requests": "9999", "x-ratelimit-reset-requests": "1s"})
    assert both.requests.rate == both.requests.ceiling
    both.observe({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "10s"})
    assert both.requests.rate == pytest.approx(0.1)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-ratelimit-remaining-requests": "5"},
        {"x-ratelimit-remaining-requests": "many", "x-ratelimit-reset-requests": "1s"},
        {"x-ratelimit-remaining-requests": "nan", "x-ratelimit-reset-requests": "1s"},
        {"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "soon"},
        # a quota for the day, which a run is not spread over
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "86400"},
    ],
)
def test_headers_that_say_nothing_change_nothing(headers: dict[str, str]) -> None:
    both = RateLimits(None, None)
    both.observe(headers)
    assert both.requests.rate is None


def test_who_waits_sees_a_new_rate_at_once() -> None:
    async def run() -> float:
        pace = Pace()
        pace.observe(1, 3600)  # one an hour
        await pace.acquire()
        started = time.monotonic()
        waiting = asyncio.create_task(pace.acquire())
        await asyncio.sleep(0.01)
        pace.observe(1000, 1)
        await waiting
        return time.monotonic() - started

    assert asyncio.run(run()) < 2


def test_a_pause_holds_everybody_back() -> None:
    async def run() -> float:
        both = RateLimits(None, None)
        both.pause(0.2)
        started = time.monotonic()
        await asyncio.gather(*(both.acquire(1) for _ in range(5)))
        return time.monotonic() - started

    assert asyncio.run(run()) >= 0.19
