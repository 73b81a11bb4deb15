"""Work shared out over processes: the same results in the same order, one line for what goes wrong, nothing left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from relearn.errors import InputError
from relearn.workers import VARIABLE, Workers, chunked, count_workers

# What a thread says on stderr when it ends with an error.
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


def double_from(asking: int, rows: list[int]) -> list[int]:
    """Twice each number; what 13 and 17 stand for happens to a process that helps, never to the one that asks."""
    if os.getpid() != asking:
        if 13 in rows:
            raise InputError("row 13: is unlucky; leave it out")
        if 17 in rows:
            os.kill(os.getpid(), signal.SIGKILL)
    return [2 * row for row in rows]


double = partial(double_from, os.getpid())


def gather(workers: Workers[list[int], list[int]], chunks: Iterable[list[int]], found: list[int]) -> None:
    """Puts the results into `found` as they come."""
    for _, done in workers.map(chunks):
        found += done


def helpers() -> list[psutil.Process]:
    """The processes that this one has started and that still run, but for loky's tracker of semaphores."""
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE and "resource_tracker" not in " ".join(child.cmdline())
    ]


@pytest.mark.parametrize(("number", "rows"), [(1, 7), (2, 0), (2, 3), (2, 41), (3, 40)])
def test_results_come_in_order_and_nothing_is_left(number: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(number))
    numbers = list(range(100, 100 + rows))
    with Workers(double, alone=4) as workers:
        found = [
            (row, twice)
            for chunk, done in workers.map(chunked(numbers, 3))
            for row, twice in zip(chunk, done, strict=True)
        ]
        assert len(helpers()) == (number - 1 if rows > 6 else 0)  # this one works too, and alone on few rows
    assert found == [(row, 2 * row) for row in numbers]
    assert helpers() == []


def name_worker(asking: int, rows: list[int]) -> list[int]:
    """The process that has the rows, which takes longer than to send them; the one that asks cannot read 13."""
    time.sleep(0.02)
    if os.getpid() == asking and 13 in rows:
        raise InputError("row 13: is unlucky; leave it out")
    return [os.getpid()]


@pytest.mark.parametrize("number", [2, 3])
def test_the_process_that_asks_works_too(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(number))
    found: list[int] = []
    with Workers(partial(name_worker, os.getpid()), alone=0) as workers:
        gather(workers, ([row] for row in range(100, 200)), found)
    assert len(found) == 100
    assert len(set(found)) == number
    assert os.getpid() in found


def test_what_the_process_that_asks_refuses_comes_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "2")
    found: list[int] = []
    # Three chunks are sent off; the fourth is the first that is worked on here, while those wait for a process to start.
    with (
        pytest.raises(InputError, match=r"^row 13: is unlucky; leave it out$"),
        Workers(partial(name_worker, os.getpid()), alone=0) as workers,
    ):
        gather(workers, ([row] for row in range(10, 30)), found)
    assert len(found) == 3
    assert os.getpid() not in found
    assert helpers() == []


def test_what_was_read_before_reading_fails_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def read() -> Iterator[int]:
        yield from range(100, 110)
        raise InputError("line 11: is broken")

    for number in (1, 2):
        monkeypatch.setenv(VARIABLE, str(number))
        found: list[int] = []
        with Workers(double, alone=0) as workers, pytest.raises(InputError, match="line 11: is broken"):
            gather(workers, chunked(read(), 4), found)
        assert found == [2 * row for row in range(100, 110)]


@pytest.mark.parametrize(
    ("bad", "said"),
    [(13, "^row 13: is unlucky; leave it out$"), (17, "^one of 2 processes .* was killed .*RELEARN_WORKERS=1")],
)
def test_a_process_that_refuses_a_row_or_is_killed(bad: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "2")
    found: list[int] = []
    with pytest.raises(InputError, match=said), Workers(double, alone=0) as workers:
        gather(workers, ([row] for row in range(bad - 2, bad + 9)), found)
    assert found == [2 * row for row in range(bad - 2, bad)][: len(found)]
    assert helpers() == []


@pytest.mark.parametrize("asked", ["0", "-1", "two", "1.5", "1025", "²"])
def test_a_number_of_processes_that_is_none(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, asked)
    with pytest.raises(InputError, match=f"RELEARN_WORKERS: is '{asked}'"):
        count_workers()


def test_the_cores_at_hand_are_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5})
    assert count_workers() == 3


SLEEPS = """
import os, signal, time
from relearn.workers import Workers
def work(chunk):
    os.write(1, b"at work\\n")  # at once, so that two lines never mix
    time.sleep(60)
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's `&` takes away
with Workers(work, alone=0) as workers:
    for _ in workers.map([row] for row in range(9)):
        pass
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_and_a_kill_end_all_of_them(ending: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "sleeps.py").write_text(SLEEPS)
    asking = subprocess.Popen(
        [sys.executable, tmp_path / "sleeps.py"],
        env={**os.environ, VARIABLE: "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert asking.stdout is not None
    assert [asking.stdout.readline() for _ in range(2)] == ["at work\n"] * 2
    first = psutil.Process(asking.pid)
    group = [first, *first.children(recursive=True)]
    assert len(group) >= 3
    if ending == signal.SIGINT:
        os.killpg(asking.pid, ending)  # as a terminal does
    else:
        asking.kill()
    _, said = asking.communicate(timeout=60)
    assert asking.returncode == -ending
    assert said.count("Traceback") == (ending == signal.SIGINT)  # of the one that asks, which has no frame here
    assert said.strip().endswith("KeyboardInterrupt") == (ending == signal.SIGINT)
    deadline = time.monotonic() + 30
    while any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in group):
        assert time.monotonic() < deadline, [each.cmdline() for each in group if each.is_running()]
        time.sleep(0.05)


GROWS = """
import os, time
from relearn.workers import Workers
held = []
def work(chunk):
    if chunk[0] > 2:
        held.append(b"x" * 350_000_000)
        time.sleep(1.2)  # what a process holds is looked at once a second
    return os.getpid()
with Workers(work, alone=0) as workers:
    print(len({done for _, done in workers.map([[number] for number in range(9)])}))
"""


def test_a_process_that_grows_is_started_anew_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "grows.py").write_text(GROWS)
    ended = subprocess.run(
        [sys.executable, tmp_path / "grows.py"], env={**os.environ, VARIABLE: "2"}, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert int(ended.stdout) > 2


def test_a_system_that_does_not_say_which_cores_are_ours_counts_those_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.delenv("RELEARN_WORKERS", raising=False)
    assert count_workers() == 6
