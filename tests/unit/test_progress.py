"""Progress of long work, in lines where there is no terminal; short work says nothing where it should not."""

from __future__ import annotations

import pytest

from relearn import progress
from relearn.progress import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds, as the test sets it."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_now_and_then_says_how_long_it_will_take(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("scoring", 300, "answers") as bar:
        clock[0] += 5
        bar.update(50)
        clock[0] += 6
        bar.update(60)
        clock[0] += 19
        bar.update(190)
    assert capsys.readouterr().err.splitlines() == [
        "scoring: 110/300 answers, 19 s left",
        "scoring: 300/300 answers, 0 s left",
        "scoring: 300/300 answers, in 30.0 s",
    ]


def test_work_of_unknown_length_says_how_fast_it_is(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("repair", None, "texts", least=2.0) as bar:
        clock[0] += 20
        bar.update(150_000)
    assert capsys.readouterr().err.splitlines() == [
        "repair: 150,000 texts, 7,500/s",
        "repair: 150,000 texts, in 20.0 s",
    ]


def test_short_work_says_nothing(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("repair", None, "texts", least=2.0) as bar:
        clock[0] += 1.9
        bar.update(10)
    assert capsys.readouterr().err == ""
