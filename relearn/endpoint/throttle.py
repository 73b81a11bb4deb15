"""A rate found by trial, for servers that refuse requests without saying how many they allow.

Where rate-limit refusals (429) are the exception, they are simply retried: they may have nothing to do with the rate,
and a lower one would not end them. Where they become most of what comes back, the rate is halved, and raised again
while all goes well: additive-increase, multiplicative-decrease (Chiu and Jain 1989) with the increase in proportion.
Failures of any other kind say nothing about the rate.
"""

from __future__ import annotations

import math
import time

from relearn.endpoint.limits import Pace

TOO_MANY = 0.5  # share refused from which the rate is too high
FEW = 0.3  # share refused up to which the rate may grow
OUTCOMES = 32  # that the share is of
ENOUGH = 16  # outcomes before the share means anything
MEMORY_S = 1.0
GROWTH = 1.1  # a second
SLOWEST = 0.5  # requests a second


class Throttle:
    """Watches what is sent and what comes of it, and paces by it."""

    def __init__(self) -> None:
        self.pace = Pace()
        self._sent = 0.0  # of the last MEMORY_S, fading
        self._outcomes = 0
        self._share = 0.0  # refused, of the last OUTCOMES
        self._faded = self._slowed = self._grown = time.monotonic()

    @property
    def overrun(self) -> bool:
        """Whether most of what was sent lately was refused: the server means everybody."""
        return self._outcomes >= ENOUGH and self._share > TOO_MANY

    def sent(self) -> float:
        """A request goes out; returns the moment, for `settle`."""
        self._fade()
        self._sent += 1
        return self._faded

    def settle(self, sent: float, refused: bool) -> None:
        """What was sent then has come back, refused by the rate limit or not."""
        if sent < self._slowed:
            return  # it went out at the rate that was too high
        now = self._fade()
        self._outcomes += 1
        self._share += (refused - self._share) / min(self._outcomes, OUTCOMES)
        if self.overrun and now - self._slowed >= MEMORY_S:
            running = min(self.pace.rate or math.inf, self._sent / MEMORY_S)
            self.pace.set_rate(max(running / 2, SLOWEST))
            self._slowed = self._grown = now
            self._outcomes, self._share = 0, 0.0
        elif self.pace.rate is not None and self._share <= FEW and now - self._grown >= MEMORY_S:
            self.pace.set_rate(self.pace.rate * GROWTH ** min(now - self._grown, 10.0))
            self._grown = now

    def _fade(self) -> float:
        now = time.monotonic()
        self._sent *= math.exp((self._faded - now) / MEMORY_S)
        self._faded = now
        return now
