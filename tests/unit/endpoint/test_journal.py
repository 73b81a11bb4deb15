from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relearn.endpoint.errors import Failed
from relearn.endpoint.journal import Claim, Journal
from relearn.endpoint.request import ServerAnswer
from relearn.errors import InputError

ANSWER = ServerAnswer("text", "stop", None, "served", 10, 5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "teacher" / "journal.sqlite"


def test_an_answer_comes_back_after_closing(path: Path) -> None:
    with Journal(path) as journal:
        assert journal.get("k") is None
        journal.keep("k", "here", "m", ANSWER)
    with Journal(path) as journal:
        assert journal.get("k") == ANSWER


@settings(max_examples=50, deadline=None)
@given(st.one_of(st.none(), st.text()), st.one_of(st.none(), st.text()), st.one_of(st.none(), st.integers(0, 2**40)))
def test_any_answer_comes_back(content: str | None, refusal: str | None, tokens: int | None) -> None:
    answer = ServerAnswer(content, "stop", refusal, "m", tokens, tokens, formatted=False)
    with Journal(":memory:") as journal:
        journal.keep("k", "here", "m", answer)
        assert journal.get("k") == answer


def test_a_lone_surrogate_does_not_lose_the_answer() -> None:
    with Journal(":memory:") as journal:
        journal.keep("k", "here", "m", ServerAnswer("a\ud800b", "stop", None, "m", 1, 1))
        kept = journal.get("k")
    assert kept is not None
    assert kept.content == "a\\ud800b"


def test_the_first_answer_stays(path: Path) -> None:
    with Journal(path) as journal:
        journal.keep("k", "here", "m", ANSWER)
        journal.keep("k", "here", "m", ServerAnswer("other", "stop", None, "m", 1, 1))
        assert journal.get("k") == ANSWER


def test_a_full_disk_is_the_error_that_other_files_have(path: Path) -> None:
    answer = ServerAnswer("x" * 4000, "stop", None, "m", 1, 2)

    def fill() -> None:
        with Journal(path) as journal:
            journal._db.execute("PRAGMA max_page_count=20")
            for number in range(100):
                journal.claim(f"key {number}")
                journal.keep(f"key {number}", "server", "m", answer)

    with pytest.raises(OSError, match="No space left on device") as caught:
        fill()
    assert caught.value.filename == str(path)
    with Journal(path) as journal:  # what was kept before is there
        assert len(list(journal.rows())) > 5
        assert journal.claims() == []


def test_one_claim_at_a_time(path: Path) -> None:
    with Journal(path) as one, Journal(path) as two:
        assert one.claim("k") is Claim.OURS
        assert one.claim("k") is Claim.OURS
        assert two.claim("k") is Claim.HELD
        one.release("k")
        assert two.claim("k") is Claim.OURS
        two.keep("k", "here", "m", ANSWER)
        assert one.claim("k") is Claim.ANSWERED


def test_closing_frees_claims(path: Path) -> None:
    with Journal(path) as one, Journal(path) as two:
        one.claim("k")
        one.close()
        assert two.claim("k") is Claim.OURS
        one.__init__(path)  # type: ignore[misc]  # so that the block can close it
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_killed_processes_claims_are_free_at_once_and_known_as_orphans(path: Path) -> None:
    program = (
        "import os, sys; from relearn.endpoint.journal import Journal;"
        "journal = Journal(sys.argv[1]); journal.claim('k'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    with Journal(path) as journal:
        assert [key for key, _ in journal.claims()] == ["k"]
        assert journal.claim("k") is Claim.ORPHAN
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_claims_of_the_program_that_held_them_by_lease_are_free(path: Path) -> None:
    with Journal(path) as journal:
        journal._db.execute("INSERT INTO claims VALUES ('k', 'boot:1/12/345/abc', 1e12)")
        assert journal.claim("k") is Claim.ORPHAN


def test_failures_are_apart_and_an_answer_ends_them(path: Path) -> None:
    with Journal(path) as journal:
        journal.claim("k")
        journal.fail("k", "here", "m", "r1", Failed("timeout", "no answer"), 4)
        assert journal.get("k") is None
        assert journal.claims() == []
        assert list(journal.failures()) == [("r1", "timeout", "no answer", 4)]
        journal.keep("k", "here", "m", ANSWER)
        assert list(journal.failures()) == []


def test_what_a_model_typically_answers(path: Path) -> None:
    with Journal(path) as journal:
        assert journal.count_tokens("here", "m") is None
        journal.keep("a", "here", "m", ANSWER)
        journal.keep("b", "here", "m", ANSWER)
        journal.keep("c", "there", "m", ANSWER)
        journal.keep("d", "here", "m", ServerAnswer("x", "stop", None, "m", None, None))
        assert journal.count_tokens("here", "m") == (2, 20, 10)


def test_two_processes_make_one_journal(path: Path) -> None:
    program = (
        "import sys; from relearn.endpoint.journal import Journal\n"
        "with Journal(sys.argv[1]) as journal:\n"
        "    print(sum(journal.claim(str(n)).value == 'ours' for n in range(300)))\n"
        "    sys.stdout.flush(); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(path)]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    won = [int(child.stdout.readline()) for child in children if child.stdout]
    for child in children:
        child.communicate("")
        assert child.returncode == 0
    assert sum(won) == 300


def test_many_may_make_one_journal_at_the_same_moment(tmp_path: Path) -> None:
    def make(path: Path, ready: threading.Barrier) -> None:
        ready.wait()
        Journal(path).close()

    with ThreadPoolExecutor(8) as pool:
        for number in range(30):
            ready = threading.Barrier(8)
            path = tmp_path / f"{number}.sqlite"
            for made in [pool.submit(make, path, ready) for _ in range(8)]:
                made.result()


def test_a_journal_that_stays_locked_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relearn.endpoint.journal.database.BUSY_S", 0.1)
    path.parent.mkdir()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(InputError, match=r"journal\.sqlite: another program has held the journal"):
        Journal(path)
    other.close()


def test_what_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be taken for one " * 40)
    with pytest.raises(InputError, match=r"notes\.txt"):
        Journal(text)
    assert text.read_text().startswith("not a database")
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE people (name TEXT)")
    with pytest.raises(InputError, match="not a journal"):
        Journal(other)
    with sqlite3.connect(other) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("people",)]
    with pytest.raises(InputError):
        Journal(tmp_path)


def test_a_later_version_is_refused(path: Path) -> None:
    Journal(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(InputError, match="version 99"):
        Journal(path)


def test_a_journal_of_version_1_is_read_and_written_on(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    with sqlite3.connect(path) as database:
        database.executescript(
            "CREATE TABLE answers (key TEXT PRIMARY KEY, identity TEXT NOT NULL, model TEXT NOT NULL, content TEXT, "
            "finish_reason TEXT, refusal TEXT, served TEXT NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER, "
            "formatted INTEGER NOT NULL, received REAL NOT NULL);"
            "CREATE TABLE claims (key TEXT PRIMARY KEY, owner TEXT NOT NULL, expires REAL NOT NULL);"
            "CREATE TABLE failures (key TEXT PRIMARY KEY, identity TEXT NOT NULL, model TEXT NOT NULL, "
            "label TEXT NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL, attempts INTEGER NOT NULL, failed REAL NOT NULL);"
            "INSERT INTO answers VALUES ('old', 'here', 'm', 'text', 'stop', NULL, 'm', 1, 2, 1, 3.0);"
            "PRAGMA user_version=1"
        )
    with Journal(path) as journal:
        assert journal.get("old") == ServerAnswer("text", "stop", None, "m", 1, 2)
        rich = ServerAnswer(None, "stop", None, "m", 1, 2, raw='{"tool_calls": 1}', dialect='{"cap": "x"}')
        journal.keep("new", "here", "m", rich)
    with Journal(path) as journal:
        assert journal.get("new") == rich
