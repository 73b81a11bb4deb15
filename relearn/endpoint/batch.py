"""Sends requests in batches: half the price, answers within a day. A run killed at any moment goes on where it was.

Each step is in the journal before the next begins: the batch with its requests and its own key, the upload, that it
is being created, its id at the server. What a killed run left is looked for at the server by that key.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from relearn.endpoint.batch_api import BatchApi
from relearn.endpoint.batch_results import explain_end, read_results
from relearn.endpoint.budget import Guess
from relearn.endpoint.dialect import PLAIN, Dialect
from relearn.endpoint.errors import TODO, Failed
from relearn.endpoint.journal import Claim, Journal
from relearn.endpoint.journal.batches import Batches, OpenBatch
from relearn.endpoint.request import Address, Request, ServerAnswer
from relearn.endpoint.survey import Survey, follow_caps
from relearn.endpoint.tally import AskSettings, BatchSettings, Tally
from relearn.errors import InputError
from relearn.progress import say

SETTLE_S = 30.0  # a batch whose creation was interrupted may appear in the server's list so much later


def fetch_batches(
    requests: Iterable[Request],
    address: Address,
    settings: AskSettings,
    journal: Journal,
    before: Survey,
    tally: Tally,
    notify: Callable[[], None],
) -> None:
    """`run.fetch` by batches; the requests are iterated once a round."""
    assert settings.batch is not None
    tally.total, tally.cost_before, tally.journalled = before.total, before.cost, before.total - before.missing
    if not before.missing:
        notify()
        return
    rng = random.SystemRandom()
    try:
        with BatchApi(address, settings.attempts, settings.backoff_s, rng) as api:
            run = _BatchRun(requests, address, settings, settings.batch, journal, tally, notify, api)
            run.alone()
            run.go()
    finally:
        tally.seconds = time.monotonic() - tally.started


class _BatchRun:
    def __init__(
        self,
        requests: Iterable[Request],
        address: Address,
        settings: AskSettings,
        batch: BatchSettings,
        journal: Journal,
        tally: Tally,
        notify: Callable[[], None],
        api: BatchApi,
    ) -> None:
        self.requests, self.address, self.settings, self.batch = requests, address, settings, batch
        self.journal, self.tally, self.notify, self.api = journal, tally, notify, api
        self.book = Batches(journal, address.identity)
        self.dialect = PLAIN
        self.tries: Counter[str] = Counter()  # by key
        self.given_up: set[str] = set()
        self.spent = tally.cost_before
        self.over_budget = 0

    def alone(self) -> None:
        """Returns when no other process runs batches with this server through this journal."""
        key = hashlib.sha256(f"batches {self.address.identity}".encode()).hexdigest()
        said = False
        while self.journal.claim(key) is Claim.HELD:
            if not said:
                say("another process is running batches with this server; waiting for it to end")
            said = True
            time.sleep(1.0)

    def go(self) -> None:
        """Ends what earlier runs left, then submits what is missing until nothing is."""
        for batch in self.book.all():
            self._resume(batch)
        while True:
            self._wait_for_all()
            if not self._submit():
                break
        if self.over_budget:
            raise InputError(
                f"the next requests could exceed the budget of {self.settings.budget_usd:g} USD ({self.spent:.4f} USD spent); "
                f"raise {self.settings.names.budget} to go on; {self.tally.done} of {self.tally.total} answers are kept"
            )

    # --- sending -------------------------------------------------------------------------------------------------

    def _missing(self) -> Iterator[tuple[str, Request]]:
        """The requests to send now, each key once, as far as the budget goes; counts what is settled."""
        guess, prices, aside = Guess(), self.settings.prices, 0.0
        seen: set[str] = set()
        self.over_budget = settled = 0
        for first in self.requests:
            for request, answer in follow_caps(
                first, self.journal, self.address.identity, self.settings.max_tokens_limit
            ):
                if answer is not None:
                    guess.learn(request, answer)
                    continue
                key = request.key(self.address.identity)
                if key in self.given_up or key in seen:
                    continue
                seen.add(key)
                most = prices.cost(*guess.bound(request)) * prices.batch
                if self.settings.budget_usd is not None and self.spent + aside + most > self.settings.budget_usd:
                    self.over_budget += 1
                    continue
                aside += most
                yield key, request
            settled += answer is not None
        self.tally.answered = settled - self.tally.journalled
        self.notify()

    def _submit(self) -> bool:
        """Submits what is missing, in as many batches as the limits want; whether there was any."""
        lines: list[bytes] = []
        labels: dict[str, str] = {}
        model, size, any_sent = "", 0, False
        for key, request in self._missing():
            body = self.dialect.put(request.body())
            line = {"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": body}
            text = json.dumps(line).encode() + b"\n"
            full = len(lines) >= self.batch.requests or size + len(text) > self.batch.size
            if lines and (full or request.model != model):
                self._send(model, labels, b"".join(lines))
                lines, labels, size = [], {}, 0
            model, size, any_sent = request.model, size + len(text), True
            lines.append(text)
            labels[key] = request.label
        if lines:
            self._send(model, labels, b"".join(lines))
        return any_sent

    def _send(self, model: str, labels: dict[str, str], lines: bytes) -> None:
        batch = self.book.open(model, self.dialect.dump(), labels)
        self.tally.sent += len(labels)
        try:
            file = self.api.upload(batch.key, lines)
        except Failed as failed:
            self.book.close(batch)
            raise self._stop(failed, "the upload of a batch failed") from None
        self.book.note(batch.key, "file", file)
        self._create(batch, file)

    def _create(self, batch: OpenBatch, file: str) -> None:
        """Creates the batch; where the call breaks off, the server's list tells whether it did."""
        for attempt in range(1, self.settings.attempts + 1):
            self.book.note(batch.key, "creating", time.time())
            try:
                found = self.api.create(batch.key, file)
            except Failed as failed:
                sure = failed.status is not None and failed.status < 500  # refused, so there is none
                if sure and (failed.verdict != "retry" or attempt == self.settings.attempts):
                    self.book.close(batch)
                    raise self._stop(failed, "the server refuses the batch") from None
                if failed.verdict == "stop":
                    raise self._stop(failed, "a batch could not be created") from None
                looked = None if sure or failed.kind == "unreachable" else self._look_for(batch, file, time.time())
                if looked is None and attempt == self.settings.attempts:
                    raise self._stop(failed, "a batch could not be created") from None
                if looked is None:
                    time.sleep(failed.wait or min(8.0, self.settings.backoff_s * 2**attempt))
                    continue
                found = looked
            self.book.note(batch.key, "id", found)
            self.tally.batches += 1
            return

    def _look_for(self, batch: OpenBatch, file: str, since: float) -> str | None:
        """The id of a batch whose creation, begun at `since`, was interrupted; None when it is certainly not there."""
        patience = min(SETTLE_S, self.settings.timeout_s)
        while True:
            try:
                found = self.api.find_batch(batch.key, file)
            except Failed as failed:
                raise InputError(
                    f"{self.address.base_url}: a batch of {batch.requests} requests may have been created, and the "
                    f"server's batches cannot be listed ({failed.detail}); nothing is submitted twice: look for "
                    f"{batch.key} there, then give it up with `python -m relearn.endpoint.journal prune "
                    f"{self.journal.path} --batches`"
                ) from None
            left = since + patience - time.time()
            if found is not None or left <= 0:
                return found
            time.sleep(min(1.0, left))

    def _resume(self, batch: OpenBatch) -> None:
        """Brings a batch of an earlier run to where its results can be waited for, or forgets it."""
        if batch.id is not None:
            return
        file = batch.file
        if batch.creating is not None and file is not None:
            found = self._look_for(batch, file, batch.creating)
            if found is not None:
                self.book.note(batch.key, "id", found)
                return
        elif file is None:
            try:
                file = self.api.find_file(batch.key)
            except Failed:
                file = None  # no batch was created from it: it may be uploaded again
        if file is None:
            self.book.close(batch)
            return
        self.book.note(batch.key, "file", file)
        self._create(batch, file)

    # --- reading -------------------------------------------------------------------------------------------------

    def _wait_for_all(self) -> None:
        """Waits for every open batch, and reads each as it ends."""
        while open_batches := self.book.all():
            done = total = 0
            ended = False
            for batch in open_batches:
                state = self._get(batch)
                counts = state.get("request_counts")
                counts = counts if isinstance(counts, dict) else {}
                done += sum(value for name in ("completed", "failed") if isinstance(value := counts.get(name), int))
                total += batch.requests
                if str(state.get("status")) in ("completed", "failed", "expired", "cancelled", "canceled"):
                    self._collect(batch, state)
                    ended = True
            age = (time.time() - open_batches[0].opened) / 60
            self.tally.waiting = f"{len(open_batches)} batches, {done}/{total} ready, the oldest {age:.0f} min"
            self.notify()
            if not ended:
                time.sleep(self.batch.poll_s)
        self.tally.waiting = ""

    def _get(self, batch: OpenBatch) -> dict[str, Any]:
        assert batch.id is not None
        try:
            return self.api.get(batch.id)
        except Failed as failed:
            if failed.status == 404:
                raise self._lost(batch, f"batch {batch.id} is not known there any more") from None
            raise self._stop(failed, f"batch {batch.id} cannot be asked for") from None

    def _lost(self, batch: OpenBatch, what: str) -> InputError:
        return InputError(
            f"{self.address.base_url}: {what}; its {batch.requests} answers cannot be read: give it up with "
            f"`python -m relearn.endpoint.journal prune {self.journal.path} --batches`, then the next run asks again"
        )

    def _collect(self, batch: OpenBatch, state: dict[str, Any]) -> None:
        """Reads the results of a batch that has ended into the journal, all at once."""
        labels, answers = self.book.labels(batch), dict[str, ServerAnswer]()
        failures: dict[str, Failed] = {}
        for name in ("output_file_id", "error_file_id"):
            if isinstance(state.get(name), str) and state[name]:
                for key, result in self._results(batch, state[name]):
                    if key not in labels:
                        self.tally.failures["unknown_id"] += 1
                    elif isinstance(result, ServerAnswer):
                        answers.setdefault(key, result)
                    else:
                        failures.setdefault(key, result)
        status = str(state.get("status"))
        for key in labels.keys() - answers.keys() - failures.keys():
            why = status if status != "completed" else "no_result"
            failures[key] = Failed(f"batch_{why}" if why == status else why, f"batch {batch.id} has no result of it")
        dialect, given_up = Dialect.load(batch.dialect), list[tuple[str, str, Failed, int]]()
        for key, failed in failures.items():
            if key in answers:
                continue
            self._settle(key, labels[key], failed, dialect, batch, answers, given_up)
        for key, answer in answers.items():
            self.tally.exchanges += 1
            self.tally.without_format += not answer.formatted
            self.tally.cost += self.settings.prices.of(answer)
            self.tally.note_ending(labels[key], answer)
        self.spent = self.tally.cost_before + self.tally.cost
        stop = explain_end(batch, state, self.address, len(answers))
        self.book.close(batch, answers, given_up if stop is None else ())
        if stop is not None:
            raise stop

    def _settle(
        self,
        key: str,
        label: str,
        failed: Failed,
        dialect: Dialect,
        batch: OpenBatch,
        answers: dict[str, ServerAnswer],
        given_up: list[tuple[str, str, Failed, int]],
    ) -> None:
        """What follows from a request's failure: another try, a refusal kept as such, or the end of it."""
        learned = None
        if failed.problem is not None and failed.verdict == "give_up":
            asked = next(iter(self.requests))  # all are put the same way
            learned = dialect.learn(asked.body(), failed.problem, self.settings.keep_temperature)
        self.tally.failures[learned[0] if learned else failed.kind] += 1
        self.tally.last_failure = f"{failed.kind} ({failed.detail})"
        if learned is not None:
            if dialect == self.dialect:
                self.dialect = learned[1]
                self.tally.dialect = self.dialect.say()
            return
        if failed.verdict == "filtered":
            refused = ServerAnswer(None, "content_filter", None, batch.model, None, None, raw=failed.raw, batched=True)
            answers[key] = dialect.mark(refused)
            return
        self.tries[key] += 1
        if failed.verdict != "retry" or self.tries[key] >= self.settings.attempts:
            given_up.append((key, label, failed, self.tries[key]))
            self.given_up.add(key)
            self.tally.failed.append((label, failed.kind, failed.detail))
        else:
            self.tally.retried += 1

    def _results(self, batch: OpenBatch, file: str) -> Iterator[tuple[str, ServerAnswer | Failed]]:
        try:
            content = self.api.read(file)
        except Failed as failed:
            if failed.status in (404, 410):
                raise self._lost(batch, f"file {file}, the result of batch {batch.id}, is gone") from None
            raise self._stop(failed, f"the result of batch {batch.id} cannot be read") from None
        for key, found in read_results(content, batch.model, Dialect.load(batch.dialect), self.address.api_key):
            if key is None:
                self.tally.failures["unreadable_line"] += 1
            else:
                yield key, found

    def _stop(self, failed: Failed, what: str) -> InputError:
        todo = self.settings.names.fill(TODO.get(failed.kind))
        if failed.status in (404, 405, 501) and "batch" in what:
            todo = f"the server may not support batches: set {self.settings.names.mode} to live"
        told = f"{self.address.base_url}: {what}: {failed.detail.rstrip('.')}"
        return InputError(f"{told}; {todo}" if todo else told)
