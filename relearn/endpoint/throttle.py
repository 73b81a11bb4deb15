"""A rate found by trial, for servers that refuse requests without saying how many they allow.

Where refusals (429) are the exception they are simply tried again. Where they become a good part of what is sent,
the rate is halved, and raised by a tenth a second while it is well: additive-increase, multiplicative-decrease
(Chiu and Jain 1989) with the increase in proportion.
"""

from __future__ import annotations

import math
import time

from relearn.endpoint.limits import Pace

TOO_MANY = 0.3  # share of the last second's requests refused from which the rate is too high
MEMORY_S = 1.0
GROWTH = 1.1  # a second
SLOWEST = 0.1  # requests a second


class Throttle:
    """Watches what is sent and refused, and paces by it."""

    def __init__(self) -> None:
        self.pace = Pace()
        self._sent = self._refused = 0.0  # of the last MEMORY_S, fading
        self._faded = self._changed = time.monotonic()

    def sent(self) -> None:
        """A request goes out."""
        self._fade()
        self._sent += 1

    def refused(self) -> None:
        """A request was refused for coming too soon."""
        now = self._fade()
        self._refused += 1
        if self._refused > TOO_MANY * self._sent and now - self._changed >= MEMORY_S:
            running = min(self.pace.rate or math.inf, self._sent / MEMORY_S)
            self.pace.set_rate(max(running / 2, SLOWEST))
            self._changed = now
            self._sent = self._refused = 0.0

    def accepted(self) -> None:
        """A request was answered."""
        now = self._fade()
        waited = now - self._changed
        if self.pace.rate is not None and waited >= MEMORY_S:
            self.pace.set_rate(self.pace.rate * GROWTH ** min(waited, 10.0))
            self._changed = now

    def _fade(self) -> float:
        now = time.monotonic()
        keep = math.exp((self._faded - now) / MEMORY_S)
        self._sent, self._refused, self._faded = self._sent * keep, self._refused * keep, now
        return now
