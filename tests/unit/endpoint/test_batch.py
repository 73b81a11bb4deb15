"""Asking by batches, against a server on loopback that keeps files and batches, and fails."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.batch_server import TEXT, BatchServer
from relearn.endpoint import batch as batches
from relearn.endpoint.asking import ask
from relearn.endpoint.batch_api import BatchApi
from relearn.endpoint.budget import Prices
from relearn.endpoint.journal import Journal
from relearn.endpoint.journal.__main__ import main
from relearn.endpoint.journal.batches import Batches
from relearn.endpoint.request import Address, Request, ServerAnswer
from relearn.endpoint.survey import follow_caps, survey
from relearn.endpoint.tally import BatchSettings, Tally
from relearn.errors import InputError
from tests.unit.endpoint.asked import IDENTITY, KEY, request, settings
from tests.unit.endpoint.odd_server import OddServer, completion

REQUESTS = [request(number) for number in range(40)]
LIMITS = BatchSettings(requests=1000, size=10**7, poll_s=0.02)


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "SETTLE_S", 0.3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def run(url: str, path: Path, requests: Iterable[Request] = REQUESTS, **more: Any) -> Tally:
    tally = Tally()
    chosen = settings(**{"batch": LIMITS, "backoff_s": 0.001, **more})
    with Journal(path) as journal:
        ask(requests, Address.of(url, KEY, IDENTITY), chosen, journal, tally, "test", "requests")
    return tally


def answers(path: Path, requests: Sequence[Request] = REQUESTS, limit: int = 200) -> list[ServerAnswer | None]:
    with Journal(path) as journal:
        return [list(follow_caps(each, journal, IDENTITY, limit))[-1][1] for each in requests]


def test_everything_is_answered_by_one_batch_and_never_asked_again(path: Path) -> None:
    with BatchServer(seconds=0.1) as server:
        tally = run(server.base_url, path)
        assert (tally.answered, tally.sent, tally.batches, tally.failed) == (40, 40, 1, [])
        again = run(server.base_url, path, [*REQUESTS, request(99)])
        assert (again.journalled, again.answered, again.sent) == (40, 1, 1)
        assert set(server.submitted.values()) == {1}
    found = answers(path)
    assert {answer and answer.content for answer in found} == {TEXT}
    assert all(answer and answer.batched for answer in found)


@pytest.mark.parametrize("limits", [BatchSettings(7, 10**7, 0.02), BatchSettings(1000, 2000, 0.02)])
def test_the_limits_split_the_work(path: Path, limits: BatchSettings) -> None:
    with BatchServer() as server:
        tally = run(server.base_url, path, batch=limits)
        assert tally.answered == 40
        for made in server.batches.values():
            assert len(made["lines"]) <= limits.requests
            assert len(server.files[made["input_file_id"]][1]) <= limits.size
        assert len(server.batches) >= 6
        assert set(server.submitted.values()) == {1}


@pytest.mark.parametrize(
    "ways",
    [
        {"rate": 0.3},
        {"missing": 0.3},
        {"duplicate": 0.3},
        {"stray": 0.3},
        {"expired": 0.5},
        {"expired": 0.0},
        {"broken": True},
        {"rate": 0.1, "missing": 0.1, "duplicate": 0.1, "stray": 0.1, "expired": 0.7},
    ],
)
def test_faults_end_in_one_answer_each(path: Path, ways: dict[str, Any]) -> None:
    with BatchServer(**ways) as server:
        tally = run(server.base_url, path, attempts=12)
        assert (tally.answered, tally.failed) == (40, [])
        once = {"duplicate", "stray", "broken"}
        assert set(server.submitted.values()) == {1} or not ways.keys() <= once
    assert all(answer and answer.content == TEXT for answer in answers(path))


def test_what_keeps_failing_is_listed_and_asked_by_the_next_run(path: Path) -> None:
    with BatchServer(rate=1.0) as server:
        tally = run(server.base_url, path, attempts=2)
        assert [kind for _, kind, _ in tally.failed] == ["http_500"] * 40
        assert set(server.submitted.values()) == {2}
        with Journal(path) as journal:
            assert len(list(journal.failures())) == 40
        server.ways = {}
        assert run(server.base_url, path).answered == 40


def test_refused_contents_are_answers_of_their_kind(path: Path) -> None:
    with BatchServer(refused=0.2) as server:
        tally = run(server.base_url, path)
    assert tally.answered == 40
    assert 0 < len(tally.refused) < 40
    assert [answer and answer.finish_reason for answer in answers(path)].count("content_filter") == len(tally.refused)


def test_cut_answers_go_into_another_batch_and_dialects_are_learned(path: Path) -> None:
    small = [request(number, max_tokens=50) for number in range(5)]
    with BatchServer(cut=100, dialect=True) as server:
        tally = run(server.base_url, path, small)
        assert (tally.answered, tally.batches) == (5, 3)  # refused, cut, whole
        assert run(server.base_url, path, small).sent == 0
    answer = answers(path, small)[0]
    assert answer is not None
    assert answer.dialect == '{"cap": "max_completion_tokens"}'


@pytest.mark.parametrize(
    ("ways", "words"),
    [
        ({"failed": True}, "Enqueued too much"),
        ({"cancelled": True}, "was cancelled there; 20 of its 40 answers are kept"),
    ],
)
def test_a_batch_that_ended_badly_is_one_line_and_the_next_run_goes_on(
    path: Path, ways: dict[str, Any], words: str
) -> None:
    with BatchServer(**ways) as server:
        with pytest.raises(InputError, match=words) as caught:
            run(server.base_url, path)
        assert "\n" not in str(caught.value)
        tally = run(server.base_url, path)
    assert tally.answered + tally.journalled == 40
    assert tally.journalled == (20 if "cancelled" in ways else 0)


def test_a_result_that_is_gone_is_one_line_and_can_be_given_up(path: Path) -> None:
    with BatchServer(gone=True) as server:
        for _ in range(2):
            with pytest.raises(InputError, match=r"is gone.*prune"):
                run(server.base_url, path)
        assert set(server.submitted.values()) == {1}
        server.ways = {}
        main(["prune", str(path), "--batches"])
        assert run(server.base_url, path).answered == 40


def test_a_batch_that_is_gone_is_one_line(path: Path) -> None:
    with BatchServer(seconds=60) as server:
        submit_only(server.base_url, path)
        server.batches.clear()
        with pytest.raises(InputError, match="not known there any more"):
            run(server.base_url, path)


def submit_only(url: str, path: Path) -> None:
    """A run that is killed while it waits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches._BatchRun, "_wait_for_all", waits_but(batches._BatchRun._wait_for_all))
        with pytest.raises(Killed):
            run(url, path)


class Killed(BaseException):
    """The end of the process."""


def waits_but(wait: Any) -> Any:
    def wait_or_die(self: Any) -> None:
        if self.book.all():
            raise Killed
        wait(self)

    return wait_or_die


@pytest.mark.parametrize(
    "moment", ["open", "upload", "note_file", "create", "created", "note_id", "get", "read", "close"]
)
def test_killed_at_any_step_it_submits_nothing_twice(path: Path, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dies just before, or just after, the step; then goes on."""

    def die(*_: Any, **__: Any) -> Any:
        raise Killed

    def after(call: Any) -> Any:
        def called(*arguments: Any, **named: Any) -> Any:
            call(*arguments, **named)
            raise Killed

        return called

    note = Batches.note

    def note_but(column: str) -> Any:
        def called(self: Batches, key: str, name: str, value: Any) -> None:
            if name == column:
                raise Killed
            note(self, key, name, value)

        return called

    where: dict[str, tuple[Any, str, Any]] = {
        "open": (Batches, "open", after(Batches.open)),
        "upload": (BatchApi, "upload", after(BatchApi.upload)),
        "note_file": (Batches, "note", note_but("file")),
        "create": (BatchApi, "create", die),
        "created": (BatchApi, "create", after(BatchApi.create)),
        "note_id": (Batches, "note", note_but("id")),
        "get": (BatchApi, "get", die),
        "read": (BatchApi, "read", after(BatchApi.read)),
        "close": (Batches, "close", die),
    }
    with BatchServer(seconds=0.05) as server:
        with monkeypatch.context() as patch:
            patch.setattr(*where[moment])
            with pytest.raises(Killed):
                run(server.base_url, path)
        tally = run(server.base_url, path)
        assert (tally.answered, tally.failed) == (40, [])
        assert set(server.submitted.values()) == {1}
    assert all(answers(path))


def test_a_server_that_cannot_list_stops_the_run_instead_of_submitting_twice(path: Path) -> None:
    with BatchServer(no_list=True) as server:
        with pytest.MonkeyPatch.context() as patch:
            create = BatchApi.create

            def create_and_die(self: BatchApi, key: str, file: str) -> str:
                create(self, key, file)
                raise Killed

            patch.setattr(BatchApi, "create", create_and_die)
            with pytest.raises(Killed):
                run(server.base_url, path)
        for _ in range(2):
            with pytest.raises(InputError, match=r"cannot be listed.*nothing is submitted twice") as caught:
                run(server.base_url, path)
            assert "\n" not in str(caught.value)
        assert set(server.submitted.values()) == {1}


def test_a_batch_that_appears_late_in_the_list_is_found(path: Path) -> None:
    with BatchServer() as server:
        with pytest.MonkeyPatch.context() as patch:

            def die(*_: Any) -> str:
                raise Killed

            patch.setattr(BatchApi, "create", die)
            with pytest.raises(Killed):
                run(server.base_url, path)
            find, calls = BatchApi.find_batch, [0]

            def find_late(self: BatchApi, key: str, file: str) -> str | None:
                calls[0] += 1
                if calls[0] == 2:  # the creation that was on its way arrives
                    server._make({"input_file_id": file, "metadata": {"relearn_batch": key}})
                return find(self, key, file)

            patch.undo()
            patch.setattr(BatchApi, "find_batch", find_late)
            assert run(server.base_url, path).answered == 40
        assert set(server.submitted.values()) == {1}


def test_many_batches_are_listed_page_by_page(path: Path) -> None:
    with BatchServer() as server:
        run(server.base_url, path, batch=BatchSettings(1, 10**7, 0.02))
        with BatchApi(Address.of(server.base_url, KEY), 2, 0.001, None) as api:
            first = server.batches["batch0"]
            assert api.find_batch(first["metadata"]["relearn_batch"], "") == "batch0"
            assert api.find_batch("nobody", "") is None


def test_a_server_without_batches_is_one_line(path: Path) -> None:
    with BatchServer(none=True) as server, pytest.raises(InputError, match="live"):
        run(server.base_url, path)


def test_live_requests_do_not_repeat_what_is_in_a_batch(path: Path) -> None:
    with BatchServer(seconds=60) as batched, OddServer(lambda *_: (200, completion("x"))) as live:
        submit_only(batched.base_url, path)
        with pytest.raises(InputError, match="40 requests are in a batch"):
            run(live.base_url, path, batch=None)
        assert live.bodies == []
        main(["prune", str(path), "--batches"])
        assert run(live.base_url, path, batch=None).answered == 40


def test_a_batch_costs_its_price_and_the_budget_knows_it(path: Path) -> None:
    prices = Prices(1000.0, 10_000.0, 0.5)  # 0.6 USD live, 0.3 in a batch; at most about 2.1 and 1.05
    with BatchServer() as server:
        with pytest.raises(InputError, match="budget of 5 USD"):
            run(server.base_url, path, prices=prices, budget_usd=5.0)
        with Journal(path) as journal:
            assert 0 < survey(REQUESTS, journal, IDENTITY, 200, prices).cost <= 5.0
        tally = run(server.base_url, path, prices=prices, budget_usd=1000.0)
        assert tally.answered + tally.journalled == 40
        assert set(server.submitted.values()) == {1}
    with Journal(path) as journal:
        assert survey(REQUESTS, journal, IDENTITY, 200, prices).cost == pytest.approx(40 * 0.3)


def test_the_age_and_the_counts_are_shown(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("relearn.progress.Progress.update", lambda self, count=1, notes="": shown.append(notes))
    with BatchServer(seconds=0.3) as server:
        started = time.monotonic()
        run(server.base_url, path)
        assert time.monotonic() - started >= 0.3
    assert any("1 batches, " in notes and "/40 ready, the oldest 0 min" in notes for notes in shown)
