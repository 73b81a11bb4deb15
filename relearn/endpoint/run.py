"""Requests to answers: the journal asked first, the limits kept, failures retried, money counted.

Requests are iterated, never gathered: memory does not grow with their number.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from relearn.endpoint.budget import Budget, Guess, OverBudget
from relearn.endpoint.dialect import PLAIN, Dialect
from relearn.endpoint.errors import TODO, Failed
from relearn.endpoint.journal import Claim, Journal
from relearn.endpoint.journal.batches import Batches
from relearn.endpoint.limits import RateLimits, draw_backoff
from relearn.endpoint.request import Address, Request, ServerAnswer, next_cap
from relearn.endpoint.survey import Survey
from relearn.endpoint.tally import AskSettings, Tally
from relearn.endpoint.throttle import Throttle
from relearn.errors import InputError

PATIENCE = 5  # a rate-limit refusal is retried this many times as often as another failure
# The longest wait before another try; longer where the server refuses most of what it is sent, and only there.
BACKOFF_S, LONGEST_BACKOFF_S = 8.0, 30.0
POLL_S = 0.2  # between two looks at a key that another process is asking for

Notify = Callable[[], None]


def fetch(
    requests: Iterable[Request],
    address: Address,
    settings: AskSettings,
    journal: Journal,
    before: Survey,
    tally: Tally,
    notify: Notify = lambda: None,
) -> None:
    """Asks for everything that is missing and writes it to the journal as it arrives.

    `before` is the survey of the same requests; `tally` is filled as it goes, and holds also when this raises;
    `notify` is called at each request settled. Raises InputError when the run has to stop (key, quota, model,
    address, budget, or a server that fails everything); all that was received is kept. Requests that fail individually
    are in the tally's `failed`; the next run asks them again.
    """
    tally.total, tally.cost_before = before.total, before.cost
    if not before.missing:
        tally.journalled = before.total
        notify()
        return
    run = _Run(address, settings, journal, before, tally, notify)
    try:
        asyncio.run(run.go(iter(requests)))
    except BaseExceptionGroup as group:
        error = group.exceptions[0]
        if isinstance(error, sqlite3.Error):
            raise InputError(f"{journal.path}: {error}; free some space, or repair the journal") from error
        raise error from None
    finally:
        tally.seconds = time.monotonic() - tally.started


class _Run:
    def __init__(
        self, address: Address, settings: AskSettings, journal: Journal, before: Survey, tally: Tally, notify: Notify
    ) -> None:
        self.address, self.settings, self.journal, self.notify = address, settings, journal, notify
        self.before, self.tally = before, tally
        self.guess = Guess()
        # Unseeded on purpose: two processes must not retry in step, and no output depends on it.
        self.rng = random.SystemRandom()
        self.dialect = PLAIN
        self.batches = Batches(journal, address.identity)
        self.failed_in_a_row = 0
        self.reason: str | None = None
        self.waiting: set[asyncio.Task[Any]] = set()
        self.asking: dict[str, asyncio.Event] = {}

    async def go(self, requests: Iterator[Request]) -> None:
        from relearn.endpoint.client import Client  # takes most of a second: not for a run that sends nothing

        settings = self.settings
        self.limits = RateLimits(settings.requests_per_minute, settings.tokens_per_minute)
        self.throttle = Throttle()
        self.budget = Budget(settings.budget_usd, self.before.cost)
        workers = min(settings.concurrency, max(1, self.before.missing))
        async with (
            Client(self.address, settings.timeout_s, settings.concurrency, self.limits) as self.client,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(workers):
                group.create_task(self._work(requests))
        if self.reason is not None:
            kept = self.before.total - self.before.missing + self.tally.answered
            raise InputError(f"{self.reason}; {kept} of {self.before.total} answers are kept")

    def _stop(self, reason: str) -> None:
        """Ends the run: waiting requests are woken, exchanges under way finish, so nothing paid for is lost."""
        if self.reason is None:
            self.reason = reason
            here = asyncio.current_task()
            for task in [task for task in self.waiting if task is not here]:
                task.cancel()

    @asynccontextmanager
    async def _may_stop(self) -> AsyncIterator[None]:
        """Around everything that only waits: `_stop` cancels it."""
        task = asyncio.current_task()
        assert task is not None
        self.waiting.add(task)
        try:
            if self.reason is not None:
                raise _Stopped
            yield
        except asyncio.CancelledError:
            if self.reason is None:
                raise  # from outside: Ctrl-C
            task.uncancel()
            raise _Stopped from None
        finally:
            self.waiting.discard(task)

    async def _work(self, requests: Iterator[Request]) -> None:
        try:
            for request in requests:
                await self._answer(request)
                self.notify()
        except _Stopped:
            return

    async def _answer(self, request: Request) -> None:
        """Walks a request through its caps to the final answer."""
        fresh = False
        while True:
            key = request.key(self.address.identity)
            answer = self.journal.get(key)
            if answer is None:
                try:
                    answer, ours = await self._obtain(request, key)
                except Failed as failed:
                    self._give_up(request, key, failed)
                    return
                fresh = fresh or ours
            else:
                self.guess.learn(request, answer)
                async with self._may_stop():
                    await asyncio.sleep(0)  # a long run of known answers must not hold up the others
            cap = next_cap(request.max_tokens, self.settings.max_tokens_limit) if answer.cut else None
            if cap is None:
                break
            request = request.with_cap(cap)
            self.tally.asked_longer += fresh
        if fresh:
            self.tally.answered += 1
        else:
            self.tally.journalled += 1

    def _give_up(self, request: Request, key: str, failed: Failed) -> None:
        self.journal.fail(key, self.address.identity, request.model, request.label, failed, self.settings.attempts)
        self.tally.failed.append((request.label, failed.kind, failed.detail))
        self.failed_in_a_row += 1
        if self.failed_in_a_row >= max(10, self.settings.concurrency):
            self._stop(
                f"{self.failed_in_a_row} requests in a row failed, the last with {failed.kind} ({failed.detail})"
            )

    async def _obtain(self, request: Request, key: str) -> tuple[ServerAnswer, bool]:
        """(answer, whether this run paid for it); waits when somebody else is asking for the same."""
        waited = False
        while True:
            async with self._may_stop():
                if key in self.asking:  # the same text twice among the requests
                    await self.asking[key].wait()
            answer = self.journal.get(key)
            if answer is not None:
                return answer, False
            if self.batches.holds(key):
                self._stop(
                    f"{len(self.batches.waiting())} requests are in a batch and are not sent twice; set {self.settings.names.mode} to batch "
                    f"to fetch it, or give it up (`python -m relearn.endpoint.journal prune {self.journal.path} --batches`)"
                )
                raise _Stopped
            claim = self.journal.claim(key)
            if claim in (Claim.OURS, Claim.ORPHAN):
                break
            if claim is Claim.HELD:
                self.tally.waited_for_others += not waited
                waited = True
                async with self._may_stop():
                    await asyncio.sleep(POLL_S * self.rng.uniform(0.5, 1.5))
        self.tally.asked_again_after_a_kill += claim is Claim.ORPHAN
        self.asking[key] = asyncio.Event()
        try:
            answer = await self._attempts(request)
            self.journal.keep(key, self.address.identity, request.model, answer)
        except BaseException:
            self.journal.release(key)
            raise
        finally:
            self.asking.pop(key).set()
        self.failed_in_a_row = 0
        return answer, True

    async def _attempts(self, request: Request) -> ServerAnswer:
        attempt = refused = 0
        while True:
            attempt += 1
            dialect = self.dialect
            try:
                return await self._once(request, dialect)
            except Failed as failed:
                learned = self._learn(request, dialect, failed)
                self.tally.failures[learned or failed.kind] += 1
                self.tally.last_failure = f"{failed.kind} ({failed.detail})"
                if learned is not None:
                    attempt -= 1
                    continue
                if failed.verdict == "filtered":
                    self.tally.refused.append((request.label, failed.detail))
                    refusal = ServerAnswer(None, "content_filter", None, request.model, None, None, raw=failed.raw)
                    return dialect.mark(refusal, request)
                if failed.verdict == "doubtful":
                    failed.verdict = "give_up" if self._has_answers() else "stop"
                if failed.verdict == "stop":
                    todo = self.settings.names.fill(TODO.get(failed.kind))
                    said = f"{self.address.base_url}: {failed.detail.rstrip('.')}"
                    self._stop(f"{said}; {todo}" if todo else said)
                    raise _Stopped from None
                if failed.kind == "unreachable" and attempt >= 3 and not self.tally.exchanges:
                    self._stop(f"{self.address.base_url} cannot be reached ({failed.detail})")
                    raise _Stopped from None
                limited = failed.kind == "rate_limit"
                if limited:
                    if failed.wait is not None and self.throttle.overrun:
                        self.limits.pause(failed.wait)
                    if refused < PATIENCE * self.settings.attempts:  # the server works
                        refused += 1
                        attempt -= 1
                if failed.verdict == "give_up" or attempt >= self.settings.attempts:
                    raise
                longest = LONGEST_BACKOFF_S if self.throttle.overrun else BACKOFF_S
                tries = refused if limited else attempt
                wait = failed.wait or draw_backoff(tries, self.rng, self.settings.backoff_s, longest)
                async with self._may_stop():
                    await asyncio.sleep(wait)
                self.tally.retried += 1

    def _learn(self, request: Request, dialect: Dialect, failed: Failed) -> str | None:
        """Learns from a refusal how the server wants a request put; returns what to count, or None when it does not
        say.
        """
        if failed.problem is None or failed.verdict not in ("give_up", "retry") or failed.kind == "rate_limit":
            return None
        learned = dialect.learn(request.body(), failed.problem, self.settings.keep_temperature)
        if learned is None:
            return None
        if dialect == self.dialect:  # else another request has learned it meanwhile
            self.dialect = learned[1]
            self.tally.dialect = self.dialect.say()
        return learned[0]

    def _has_answers(self) -> bool:
        """Whether the server has answered this key before, in this run or an earlier one."""
        return self.tally.exchanges > 0 or self.before.missing < self.before.total

    async def _once(self, request: Request, dialect: Dialect) -> ServerAnswer:
        """One exchange, within the limits and the budget."""
        prices = self.settings.prices
        tokens = sum(self.guess.expect(request))
        most = prices.cost(*self.guess.bound(request))
        async with self._may_stop():
            try:
                await self.budget.admit(most)
            except OverBudget:
                self._stop(
                    f"the next request could exceed the budget of {self.settings.budget_usd:g} USD "
                    f"({self.budget.spent:.4f} USD spent); raise {self.settings.names.budget} to go on"
                )
                raise _Stopped from None
        cost = 0.0
        try:
            async with self._may_stop():
                await self.limits.acquire(tokens)
                await self.throttle.pace.acquire()
            self.tally.sent += 1
            sent = self.throttle.sent()
            try:
                answer = await self.client.exchange(request, dialect)
            except Failed as failed:
                self.throttle.settle(sent, failed.kind == "rate_limit")
                if failed.billed:  # the server may charge for it: count it as spent
                    cost = most
                    self.tally.cost_unconfirmed += most
                raise
            self.throttle.settle(sent, False)
            self.tally.exchanges += 1
            self.tally.in_flight_seconds += time.monotonic() - sent
            self.tally.without_format += not answer.formatted
            self.tally.note_ending(request.label, answer)
            cost = self._price(request, answer, tokens)
            self.tally.cost += cost
            return answer
        finally:
            self.budget.charge(most, cost)

    def _price(self, request: Request, answer: ServerAnswer, expected: float) -> float:
        """USD of an answer; estimated where the server counts nothing."""
        prompt, completion = self.guess.expect(request)
        if answer.prompt_tokens is not None and answer.completion_tokens is not None:
            self.guess.learn(request, answer)
            prompt, completion = answer.prompt_tokens, answer.completion_tokens
        self.limits.tokens.correct(prompt + completion - expected)
        return self.settings.prices.cost(prompt, completion)


class _Stopped(Exception):
    """The run is over; `reason` says why."""
