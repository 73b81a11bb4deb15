"""The run as a whole, against a real server on loopback: what is sent, kept, retried, and when it stops."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relearn.endpoint.budget import Prices
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address, Request, ServerAnswer
from relearn.endpoint.run import fetch
from relearn.endpoint.survey import follow_caps, survey
from relearn.endpoint.tally import Tally
from relearn.errors import InputError
from relearn.mini.server import Quota, Server
from tests.unit.endpoint.asked import IDENTITY, KEY, address, request, server, settings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def ask(running: Server | Address, path: Path, requests: Iterable[Request], **more: Any) -> Tally:
    where = running if isinstance(running, Address) else address(running)
    chosen = settings(**more)
    with Journal(path) as journal:
        before = survey(requests, journal, where.identity, chosen.max_tokens_limit, chosen.prices)
        tally = Tally()
        fetch(requests, where, chosen, journal, before, tally)
        assert journal.claims() == []
    return tally


def answers(path: Path, requests: Iterable[Request], limit: int = 200) -> list[ServerAnswer | None]:
    with Journal(path) as journal:
        return [list(follow_caps(each, journal, IDENTITY, limit))[-1][1] for each in requests]


REQUESTS = [request(number) for number in range(30)]


def test_everything_is_answered_once_and_never_asked_again(path: Path) -> None:
    with server() as running:
        first = ask(running, path, REQUESTS)
        assert (first.answered, first.journalled, first.sent, first.failed) == (30, 0, 30, [])
        second = ask(running, path, REQUESTS)
        assert (second.answered, second.journalled, second.sent) == (0, 30, 0)
        assert set(running.seen.values()) == {1}
        third = ask(running, path, [*REQUESTS, request(99)])
        assert (third.answered, third.journalled, third.sent) == (1, 30, 1)
    assert all(answer is not None for answer in answers(path, REQUESTS))


def test_the_same_text_twice_is_paid_for_once(path: Path) -> None:
    with server(latency_s=0.05) as running:
        tally = ask(running, path, [request(1)] * 20)
        assert (tally.answered, tally.journalled, tally.sent) == (1, 19, 1)
        assert running.arrived == 1


@pytest.mark.parametrize(
    "fault", ["rate_limit_bare", "server_error", "unavailable", "stall", "reset", "not_json", "no_choices"]
)
def test_a_fault_is_retried_and_counted(path: Path, fault: str) -> None:
    with server([fault, fault]) as running:
        tally = ask(running, path, REQUESTS, timeout_s=0.5)
    assert (tally.answered, tally.failed) == (30, [])
    assert (tally.sent, tally.retried) == (32, 2)
    assert sum(tally.failures.values()) == 2
    assert len(tally.failures) == 1


def test_retry_after_is_obeyed_by_everybody(path: Path) -> None:
    with server(["rate_limit"]) as running:
        started = time.monotonic()
        tally = ask(running, path, REQUESTS, concurrency=1)
        assert time.monotonic() - started >= 1
    assert tally.answered == 30


@pytest.mark.parametrize("silent", [True, False])
def test_a_limit_far_below_what_the_slots_could_send_is_found_and_kept(path: Path, silent: bool) -> None:
    """20 a second, five at once; 32 slots on a server that answers at once, and two attempts only."""
    requests = [request(number) for number in range(100)]
    with server(quota=Quota(1200, burst=5, silent=silent)) as running:
        tally = ask(running, path, requests, concurrency=32, attempts=2, backoff_s=0.1)
        assert (tally.answered, tally.failed) == (100, [])
        assert running.arrived < 400
    assert tally.seconds < 30  # 5 s at best


def test_refusals_have_an_end(path: Path) -> None:
    with server(["rate_limit_bare"] * 100) as running:
        tally = ask(running, path, REQUESTS[:1], attempts=2, backoff_s=0.001)
        assert [kind for _, kind, _ in tally.failed] == ["rate_limit"]
        assert running.arrived == 12  # five times two, and two


def test_attempts_are_bounded_and_the_failure_is_listed_then_asked_again(path: Path) -> None:
    with server(["server_error"] * 4) as running:
        first = ask(running, path, REQUESTS, concurrency=1)
        assert first.failed == [("r0", "http_500", "HTTP 500: The server had an error while processing your request.")]
        assert (first.answered, first.sent) == (29, 33)
        with Journal(path) as journal:
            assert [row[0] for row in journal.failures()] == ["r0"]
        second = ask(running, path, REQUESTS)
        assert (second.answered, second.journalled, second.sent) == (1, 29, 1)
        with Journal(path) as journal:
            assert list(journal.failures()) == []


@pytest.mark.parametrize(
    ("fault", "named"),
    [("auth", "api_key_env"), ("quota", "add credit"), ("unknown_model", "generate.model"), ("busy_long", "86400 s")],
)
def test_what_no_retry_mends_stops_the_run_and_keeps_what_came(path: Path, fault: str, named: str) -> None:
    with server(["ok"] * 10 + [fault] * 20, latency_s=0.02) as running:
        with pytest.raises(InputError) as caught:
            ask(running, path, REQUESTS, concurrency=4)
        assert running.arrived <= 14
    text = str(caught.value)
    assert named in text
    assert "\n" not in text
    assert KEY not in text
    kept = sum(answer is not None for answer in answers(path, REQUESTS))
    assert kept == 10
    assert "10 of 30 answers are kept" in text


def test_who_waits_is_woken_when_the_run_stops(path: Path) -> None:
    with server(["auth"]) as running:
        started = time.monotonic()
        with pytest.raises(InputError):
            ask(running, path, REQUESTS, requests_per_minute=6, concurrency=8)
        assert time.monotonic() - started < 5


def test_nobody_listens(path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(InputError, match="cannot be reached"):
        ask(Address.of(f"http://127.0.0.1:{port}/v1", KEY, IDENTITY), path, REQUESTS)


def test_a_server_that_fails_everything_is_given_up(path: Path) -> None:
    with server(rates={"server_error": 1.0}) as running:
        with pytest.raises(InputError, match="in a row failed"):
            ask(running, path, [request(number) for number in range(300)], attempts=2, concurrency=4)
        assert running.arrived < 60


def test_cut_answers_are_asked_again_with_a_larger_cap(path: Path) -> None:
    small = [request(number, max_tokens=10) for number in range(5)]
    with server() as running:
        tally = ask(running, path, small, max_tokens_limit=80)
        assert (tally.answered, tally.asked_longer) == (5, 10)  # 10, 20 and 40 tokens: 32 are needed
        assert tally.sent == 15
        assert [answer.finish_reason for answer in answers(path, small, 80) if answer] == ["stop"] * 5
        again = ask(running, path, small, max_tokens_limit=80)
        assert (again.sent, again.journalled) == (0, 5)


def test_what_stays_cut_at_the_limit_is_kept_and_marked(path: Path) -> None:
    small = [request(number, max_tokens=5) for number in range(3)]
    with server() as running:
        tally = ask(running, path, small, max_tokens_limit=12)
    assert (tally.answered, tally.sent) == (3, 9)  # 5, 10, 12
    assert [answer.finish_reason for answer in answers(path, small, 12) if answer] == ["length"] * 3


@pytest.mark.parametrize("fault", ["null_content", "refusal", "content_filter"])
def test_poor_answers_are_kept_as_what_they_are(path: Path, fault: str) -> None:
    with server([fault]) as running:
        tally = ask(running, path, REQUESTS[:1])
        assert (tally.answered, tally.retried) == (1, 0)
        assert ask(running, path, REQUESTS[:1]).sent == 0
    (answer,) = answers(path, REQUESTS[:1])
    assert answer is not None
    assert answer.content is None
    assert (answer.finish_reason == "content_filter") == (fault == "content_filter")
    assert (answer.refusal is not None) == (fault == "refusal")


def test_a_refused_format_is_left_out_once_and_for_all(path: Path) -> None:
    asked = [request(number, response_format={"type": "json_object"}) for number in range(10)]
    with server(["format_refused"]) as running:
        tally = ask(running, path, asked, concurrency=1)
        assert (tally.answered, tally.sent, tally.without_format) == (10, 11, 10)
        assert tally.failures == {"format_refused": 1}
    assert all(answer is not None and not answer.formatted for answer in answers(path, asked))


def test_a_budget_is_never_passed_and_the_next_run_goes_on(path: Path) -> None:
    prices = Prices(1000.0, 10_000.0)  # about 0.34 USD an answer, at most about 2.1
    with server(latency_s=0.01) as running:
        with pytest.raises(InputError, match="could exceed the budget of 5 USD") as caught:
            ask(running, path, REQUESTS, prices=prices, budget_usd=5.0)
        with Journal(path) as journal:
            spent = survey(REQUESTS, journal, IDENTITY, 200, prices).cost
        assert 2.5 < spent <= 5.0
        kept = sum(answer is not None for answer in answers(path, REQUESTS))
        assert f"{kept} of 30 answers are kept" in str(caught.value)
        arrived = running.arrived
        with pytest.raises(InputError, match="budget"):  # what is spent counts in the next run, too
            ask(running, path, REQUESTS, prices=prices, budget_usd=5.0)
        assert running.arrived - arrived <= 2
        tally = ask(running, path, REQUESTS, prices=prices, budget_usd=100.0)
        assert (tally.answered, tally.failed) == (30 - tally.journalled, [])
        assert set(running.seen.values()) == {1}


def test_exchanges_that_broke_off_count_against_the_budget(path: Path) -> None:
    with server(["reset"]) as running:
        tally = ask(running, path, REQUESTS[:1], prices=Prices(0, 10_000.0), budget_usd=100.0)
    assert tally.cost_unconfirmed == pytest.approx(2.0)  # the whole cap of 200 tokens


def test_two_runs_at_once_pay_once(path: Path) -> None:
    tallies: list[Tally] = []
    with server(latency_s=0.02) as running:
        threads = [threading.Thread(target=lambda: tallies.append(ask_alone(running, path))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(running.seen.values()) == {1}
        assert running.arrived == 100
    assert sum(tally.answered for tally in tallies) == 100
    assert [tally.done for tally in tallies] == [100, 100]


def ask_alone(running: Server, path: Path) -> Tally:
    requests, where, chosen = [request(number) for number in range(100)], address(running), settings()
    with Journal(path) as journal:
        before = survey(requests, journal, where.identity, 200, chosen.prices)
        tally = Tally()
        fetch(requests, where, chosen, journal, before, tally)
        return tally


def test_requests_are_not_gathered(path: Path) -> None:
    """At most `concurrency` requests are taken from the source ahead of the answers."""
    ahead = [0]
    settled = [0]

    class Source:
        def __iter__(self) -> Iterator[Request]:
            for number in range(200):
                ahead[0] = max(ahead[0], number - settled[0])
                yield request(number)

    with server() as running, Journal(path) as journal:
        where, chosen = address(running), settings(concurrency=5)
        before = survey(Source(), journal, IDENTITY, 200, chosen.prices)
        ahead[0] = 0
        tally = Tally()

        def notify() -> None:
            settled[0] = tally.done

        fetch(Source(), where, chosen, journal, before, tally, notify)
    assert ahead[0] <= 5


def test_an_error_of_the_source_comes_out_as_it_is(path: Path) -> None:
    class Source:
        def __init__(self) -> None:
            self.passes = 0

        def __iter__(self) -> Iterator[Request]:
            self.passes += 1
            yield request(0)
            if self.passes > 1:
                raise InputError("reviews.jsonl, line 2: not JSON")
            yield request(1)

    with server() as running, pytest.raises(InputError, match="line 2"):
        ask(running, path, Source())


def test_faults_of_every_kind_end_in_answers_or_listed_failures(path: Path) -> None:
    """Every fault at 5%: the counts add up, and the next run asks only what is missing."""
    kinds = ("rate_limit_bare", "server_error", "unavailable", "reset", "not_json", "no_choices")
    rates = dict.fromkeys((*kinds, "null_content", "refusal"), 0.05)
    requests = [request(number) for number in range(150)]
    with server(rates=rates) as running:
        first = ask(running, path, requests, attempts=3)
        assert first.answered + len(first.failed) == 150
        assert first.sent == running.arrived
        assert first.sent == first.answered + sum(first.failures.values())
        assert set(first.failures) <= {*kinds, "rate_limit", "http_500", "http_503", "connection"}
        left, runs = first, 0
        while left.failed and runs < 10:
            left, runs = ask(running, path, requests, attempts=3), runs + 1
        assert not left.failed
    assert all(answer is not None for answer in answers(path, requests))
