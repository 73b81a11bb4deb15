from __future__ import annotations

import pytest

from relearn.endpoint.tally import Tally
from tests.unit.endpoint.asked import settings


def test_the_share_of_the_ideal_rate() -> None:
    tally = Tally(total=100, answered=100, exchanges=100, seconds=10.0, in_flight_seconds=60.0)
    facts = tally.facts(settings(concurrency=8))
    assert facts["requests_per_second"] == 10
    assert facts["share_of_ideal_rate"] == pytest.approx(10 / (8 / 0.6))  # latency 0.6 s, 8 at once
    limited = tally.facts(settings(concurrency=8, requests_per_minute=630))
    assert limited["share_of_ideal_rate"] == pytest.approx(10 / 10.5, abs=1e-4)
    assert Tally().facts(settings())["share_of_ideal_rate"] is None


def test_done_counts_everything_settled() -> None:
    assert Tally(journalled=2, answered=3, failed=[("r", "timeout", "x")]).done == 6
