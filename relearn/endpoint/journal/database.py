"""The journal's file: its tables, how it is opened, brought to this version and written to, and what may be in the way."""

from __future__ import annotations

import errno
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relearn.errors import InputError
from relearn.finish_reasons import read_ending

VERSION = 2
BUSY_S = 60.0  # how long a program waits for another one's write
ROOM = 64 * 1024  # bytes; with fewer left on the disk, an I/O error is put down to that

# `claims.expires` is 0: earlier programs, which wrote the end of a lease there, and this one share the file.
BATCHES = """
CREATE TABLE IF NOT EXISTS batches (
    key TEXT PRIMARY KEY, identity TEXT NOT NULL, model TEXT NOT NULL, dialect TEXT, requests INTEGER NOT NULL,
    opened REAL NOT NULL, file TEXT, creating REAL, id TEXT
);
CREATE TABLE IF NOT EXISTS batched (key TEXT PRIMARY KEY, batch TEXT NOT NULL, label TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS batched_batch ON batched (batch);
"""
SCHEMA = (
    BATCHES
    + """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, identity TEXT NOT NULL, model TEXT NOT NULL, content TEXT, finish_reason TEXT,
    refusal TEXT, served TEXT NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER,
    formatted INTEGER NOT NULL, received REAL NOT NULL, raw TEXT, dialect TEXT,
    batched INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS claims (key TEXT PRIMARY KEY, owner TEXT NOT NULL, expires REAL NOT NULL);
CREATE TABLE IF NOT EXISTS failures (
    key TEXT PRIMARY KEY, identity TEXT NOT NULL, model TEXT NOT NULL, label TEXT NOT NULL, kind TEXT NOT NULL,
    detail TEXT NOT NULL, attempts INTEGER NOT NULL, failed REAL NOT NULL, raw TEXT
);
"""
)
# What turns an earlier version into the next.
UPGRADES = {
    1: "ALTER TABLE answers ADD COLUMN raw TEXT; ALTER TABLE answers ADD COLUMN dialect TEXT;"
    "ALTER TABLE answers ADD COLUMN batched INTEGER NOT NULL DEFAULT 0; ALTER TABLE failures ADD COLUMN raw TEXT;"
    + BATCHES
}


def open_database(path: Path) -> sqlite3.Connection:
    """The file, made with its folder where it is missing, in this version.

    Raises InputError when it is not a journal, is of a later version, or cannot be opened; OSError when the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise InputError(f"{path}: the journal cannot be opened ({error}); make it writable") from None
    try:
        _prepare_patiently(db, path)
    except sqlite3.Error as error:
        db.close()
        if _is_busy(error):
            raise InputError(
                f"{path}: another program has held the journal for {BUSY_S:g} s ({error}); stop that program"
            ) from None
        if is_full(error, path):
            raise no_space(path) from None
        raise InputError(f"{path}: not a journal ({error}); move the file away, or name another") from None
    except InputError:
        db.close()
        raise
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """A block whose writes are done all, or none of them."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if db.in_transaction:  # a full disk has ended it already
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _prepare_patiently(db: sqlite3.Connection, path: Path) -> None:
    # SQLite answers "locked" at once, without its own waiting, to whoever turns a new file to WAL while
    # another process does the same.
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            return _prepare(db, path)
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.005, 0.05))


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    db.execute("PRAGMA journal_mode=WAL")
    # A commit is in the operating system's hands: it survives the process, though not a power cut, which
    # may take the last seconds' answers (never the file).
    db.execute("PRAGMA synchronous=NORMAL")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version not in (0, *UPGRADES, VERSION):
        raise InputError(
            f"{path}: a journal of version {version}, but this program reads {VERSION}; update the program"
        )
    if version == 0:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        if tables - {"answers", "claims", "failures", "batches", "batched"}:
            raise InputError(f"{path}: a database, but not a journal; name another file")
    while version != VERSION:
        with transaction(db):
            (version,) = db.execute("PRAGMA user_version").fetchone()  # another process may be faster
            if version == VERSION:
                break
            for statement in (UPGRADES[version] if version else SCHEMA).split(";"):
                if statement.strip():
                    db.execute(statement)
            version = version + 1 if version else VERSION
            db.execute(f"PRAGMA user_version={version}")
    db.create_function("ending", 1, read_ending, deterministic=True)


def _is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection was in the way; the low byte is the code, the rest says what kind."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_full(error: sqlite3.Error, path: Path) -> bool:
    """Whether the disk is full; the file that WAL shares memory by reports that as an I/O error."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and shutil.disk_usage(path.parent).free < ROOM)


def no_space(path: Path) -> OSError:
    """The error of a full disk, as other files have it."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
