from __future__ import annotations

import random

import pytest

from relearn.endpoint import limits, throttle
from relearn.endpoint.throttle import Throttle


class Clock:
    """Time that the test moves on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        for module in (limits, throttle):
            monkeypatch.setattr(module.time, "monotonic", lambda: self.now)


def run(watch: Throttle, clock: Clock, seconds: float, rate: float, refused_every: int) -> None:
    """Sends at `rate` for so long; every n-th request is refused, the others are answered (0: none refused)."""
    for number in range(int(seconds * rate)):
        clock.now += 1 / rate
        watch.settle(watch.sent(), bool(refused_every and number % refused_every == 0))


def test_a_few_refusals_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    watch = Throttle()
    run(watch, clock, 20, 100, refused_every=3)
    assert watch.pace.rate is None


def test_refusals_by_chance_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth of all requests, whatever the rate: at no time does that look like most of them."""
    clock, rng = Clock(monkeypatch), random.Random(7)
    watch = Throttle()
    for _ in range(20_000):
        clock.now += 0.05
        watch.settle(watch.sent(), rng.random() < 0.2)
        assert watch.pace.rate is None


def test_many_refusals_halve_the_rate_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    watch = Throttle()
    run(watch, clock, 1.5, 100, refused_every=1)
    assert watch.pace.rate is not None
    assert 25 < watch.pace.rate < 55
    before = watch.pace.rate
    for _ in range(50):  # what was in flight comes back refused as well
        watch.settle(clock.now - 0.8, True)
    assert watch.pace.rate == before


def test_the_rate_climbs_again_and_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    watch = Throttle()
    run(watch, clock, 60, 100, refused_every=1)
    assert watch.pace.rate == throttle.SLOWEST
    run(watch, clock, 10.5, 10, refused_every=0)
    assert watch.pace.rate == pytest.approx(throttle.SLOWEST * throttle.GROWTH**10, rel=0.1)
