"""The journal: what a server has answered, so that no answer is paid for twice.

It is memoisation outside DVC's graph, one SQLite file in WAL mode, shared by profiles, experiments and processes
of one machine (WAL needs shared memory: not on a network drive). An answer is written as it arrives, and survives
`kill -9`. A claim keeps two processes from paying for one request: it names its holder, which locks a file of its own
as long as it lives. Failures are kept apart and are never answers. The command, in `__main__`:

    python -m relearn.endpoint.journal list PATH
    python -m relearn.endpoint.journal export PATH FILE.jsonl
    python -m relearn.endpoint.journal import PATH FILE.jsonl
    python -m relearn.endpoint.journal prune PATH --model NAME | --identity TEXT | --before DATE | --ending WORD
                                                  | --failures | --kind KIND | --all
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from relearn.endpoint.errors import Failed
from relearn.endpoint.journal.database import is_full, no_space, open_database, transaction
from relearn.endpoint.request import ServerAnswer

ANSWER = "content, finish_reason, refusal, served, prompt_tokens, completion_tokens, formatted, raw, dialect, batched"


class Claim(Enum):
    """What came of asking for a key."""

    OURS = "ours"  # nobody else will ask; answer it or release it
    ORPHAN = "orphan"  # ours as well; its last holder ended in the middle, and may have paid
    HELD = "held"  # another process is asking
    ANSWERED = "answered"  # the answer is there


class Journal:
    """An open journal; a context manager. It is made, with its folder, when it is missing.

    Raises InputError when the file is not a journal, is of another version, or cannot be opened.
    """

    def __init__(self, path: Path | str) -> None:
        self.path, self.owner = Path(path), uuid.uuid4().hex
        self._life = self._lock_of(self.owner)
        self._db = open_database(self.path)

    @property
    def database(self) -> sqlite3.Connection:
        """The connection, for the other modules of this package."""
        return self._db

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Closes; a disk that is full is the OSError that it is with other files."""
        full = isinstance(error, sqlite3.Error) and is_full(error, self.path)
        try:
            self.close()
        except sqlite3.Error as second:
            if not full and not is_full(second, self.path):
                raise
            full = True  # the claims end by themselves, with this process
        if full:
            raise no_space(self.path) from error

    def close(self) -> None:
        """Frees this holder's claims and closes the file."""
        try:
            self._db.execute("DELETE FROM claims WHERE owner = ?", (self.owner,))
        finally:
            self._db.close()
            if self._life.is_locked:
                _end(self._life)

    def _lock_of(self, owner: str) -> FileLock:
        """What a holder of claims locks while it lives; the system frees it however the holder ends."""
        return FileLock(self.path.parent / f".{self.path.name}.{owner}.lock", timeout=0, thread_local=False)

    def _lives(self, owner: str) -> bool:
        lock = self._lock_of(owner)
        if not Path(lock.lock_file).exists():
            return False
        try:
            lock.acquire()
        except Timeout:
            return True
        _end(lock)
        return False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A block whose writes are done all, or none of them."""
        with transaction(self._db):
            yield

    def get(self, key: str) -> ServerAnswer | None:
        """The answer under a key, or None."""
        row = self._db.execute(f"SELECT {ANSWER} FROM answers WHERE key = ?", (key,)).fetchone()
        return _answer(row) if row else None

    def claim(self, key: str) -> Claim:
        """Asks to be the one who sends this request. The claim holds until it is ended, or its holder ends."""
        if not self._life.is_locked:
            self._life.acquire()
        with self.transaction():
            if self._db.execute("SELECT 1 FROM answers WHERE key = ?", (key,)).fetchone():
                return Claim.ANSWERED
            row = self._db.execute("SELECT owner FROM claims WHERE key = ?", (key,)).fetchone()
            orphan = row is not None and row[0] != self.owner
            if orphan and self._lives(row[0]):
                return Claim.HELD
            self._db.execute("INSERT OR REPLACE INTO claims VALUES (?, ?, 0)", (key, self.owner))
        return Claim.ORPHAN if orphan else Claim.OURS

    def release(self, key: str) -> None:
        """Gives a claim back unanswered."""
        self._db.execute("DELETE FROM claims WHERE key = ? AND owner = ?", (key, self.owner))

    def keep(self, key: str, identity: str, model: str, answer: ServerAnswer) -> None:
        """Writes an answer down, ends the claim and forgets an earlier failure. The first answer stays."""
        with self.transaction():
            self.put(key, identity, model, answer)

    def put(self, key: str, identity: str, model: str, answer: ServerAnswer) -> None:
        """`keep` inside a transaction."""
        marked = (answer.raw, answer.dialect, int(answer.batched))
        self._insert((key, identity, model, *_columns(answer), time.time(), *marked))
        self._db.execute("DELETE FROM claims WHERE key = ?", (key,))
        self._db.execute("DELETE FROM failures WHERE key = ?", (key,))

    def _insert(self, row: tuple[Any, ...]) -> bool:
        marks = ", ".join("?" * len(row))
        return self._db.execute(f"INSERT OR IGNORE INTO answers VALUES ({marks})", row).rowcount > 0

    def fail(self, key: str, identity: str, model: str, label: str, failed: Failed, attempts: int) -> None:
        """Notes that a request ended without an answer, and ends the claim; the next run asks again."""
        with self.transaction():
            self.put_failure(key, identity, model, label, failed, attempts)

    def put_failure(self, key: str, identity: str, model: str, label: str, failed: Failed, attempts: int) -> None:
        """`fail` inside a transaction."""
        row = (key, identity, model, label, failed.kind, failed.detail, attempts, time.time(), _storable(failed.raw))
        self._db.execute("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        self._db.execute("DELETE FROM claims WHERE key = ? AND owner = ?", (key, self.owner))

    def count_tokens(self, identity: str, model: str) -> tuple[int, int, int] | None:
        """(answers, prompt tokens, completion tokens) of what this model has answered; None for nothing yet."""
        row = self._db.execute(
            "SELECT count(*), sum(prompt_tokens), sum(completion_tokens) FROM answers WHERE identity = ? AND "
            "model = ? AND prompt_tokens IS NOT NULL AND completion_tokens IS NOT NULL",
            (identity, model),
        ).fetchone()
        return row if row[0] else None

    def summary(self) -> list[dict[str, Any]]:
        """One row for each server and model: answers, tokens, first and last time, failures."""
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        for identity, model, *values in self._db.execute(
            "SELECT identity, model, count(*), total(prompt_tokens), total(completion_tokens), min(received), "
            "max(received) FROM answers GROUP BY identity, model"
        ):
            names = ("answers", "prompt_tokens", "completion_tokens", "first", "last")
            rows[identity, model] = dict(zip(names, values, strict=True))
        for identity, model, count in self._db.execute(
            "SELECT identity, model, count(*) FROM failures GROUP BY identity, model"
        ):
            rows.setdefault((identity, model), {})["failures"] = count
        return [{"identity": key[0], "model": key[1], **row} for key, row in sorted(rows.items())]

    def endings(self) -> Iterator[tuple[str, str, str, str | None, int]]:
        """(identity, model, ending, the server's word for it, answers) of all answers."""
        yield from self._db.execute(
            "SELECT identity, model, ending(finish_reason), finish_reason, count(*) FROM answers "
            "GROUP BY identity, model, finish_reason ORDER BY identity, model, count(*) DESC, finish_reason"
        )

    def failures(self) -> Iterator[tuple[str, str, str, int]]:
        """(label, kind, detail, attempts) of each request that ended without an answer."""
        yield from self._db.execute("SELECT label, kind, detail, attempts FROM failures ORDER BY label, key")

    def failure_texts(self) -> dict[str, str]:
        """What came, and was paid for, of the requests that ended without an answer, by label."""
        return dict(self._db.execute("SELECT label, raw FROM failures WHERE raw IS NOT NULL"))

    def claims(self) -> list[tuple[str, str]]:
        """(key, owner) of every claim, living or not."""
        return self._db.execute("SELECT key, owner FROM claims ORDER BY key").fetchall()

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every answer as a mapping, in the order of the keys."""
        return self._mappings("SELECT * FROM answers ORDER BY key")

    def open_batches(self) -> Iterator[dict[str, Any]]:
        """Every batch under way as a mapping, the oldest first."""
        return self._mappings("SELECT * FROM batches ORDER BY opened, key")

    def _mappings(self, query: str) -> Iterator[dict[str, Any]]:
        cursor = self._db.execute(query)
        names = [column[0] for column in cursor.description]
        for row in cursor:
            yield dict(zip(names, row, strict=True))

    def add(self, rows: Iterator[tuple[Any, ...]]) -> tuple[int, int]:
        """Adds rows of `rows()` from elsewhere, whole or not at all; returns (added, already there)."""
        added = known = 0
        with self.transaction():
            for row in rows:
                fresh = self._insert(row)
                added, known = added + fresh, known + (not fresh)
                self._db.execute("DELETE FROM failures WHERE key = ?", (row[0],))
        return added, known

    def prune(self, table: str, condition: str, values: tuple[Any, ...]) -> int:
        """Deletes rows of `answers`, `failures` or `batches` and returns their number; `condition` is SQL of this package."""
        if table not in ("answers", "failures", "batches"):
            raise ValueError(table)
        with self.transaction():
            count = self._db.execute(f"DELETE FROM {table} WHERE {condition}", values).rowcount
            self._db.execute("DELETE FROM batched WHERE batch NOT IN (SELECT key FROM batches)")
        return count

    def vacuum(self) -> None:
        """Gives the space of deleted rows back to the disk."""
        self._db.execute("VACUUM")


def _end(lock: FileLock) -> None:
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()


def _columns(answer: ServerAnswer) -> tuple[Any, ...]:
    return (
        _storable(answer.content),
        _storable(answer.finish_reason),
        _storable(answer.refusal),
        _storable(answer.model),
        answer.prompt_tokens,
        answer.completion_tokens,
        int(answer.formatted),
    )


def _storable(text: str | None) -> str | None:
    """The text with lone surrogates, which neither SQLite nor UTF-8 files can hold, as escapes: `\\ud83d`."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _answer(row: tuple[Any, ...]) -> ServerAnswer:
    *columns, formatted, raw, dialect, batched = row
    content, finish, refusal, served, prompt, completion = columns
    return ServerAnswer(
        content, finish, refusal, served, prompt, completion, bool(formatted), raw, dialect, bool(batched)
    )
