"""The batches that are under way, so that none is submitted twice and every result is read.

A batch is written down before anything of it is sent, under a key of its own that goes to the server as metadata.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from relearn.endpoint.errors import Failed
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import ServerAnswer


@dataclass(frozen=True)
class OpenBatch:
    """A batch whose results have not been read. What is None is not known yet.

    `file` is the server's id of the upload, `creating` the moment from which the server may have the batch, `id` the
    server's id of it; `dialect` how its requests are put (`Dialect.dump`).
    """

    key: str
    identity: str
    model: str
    dialect: str | None
    requests: int
    opened: float
    file: str | None = None
    creating: float | None = None
    id: str | None = None


class Batches:
    """The journal's batches with one server."""

    def __init__(self, journal: Journal, identity: str) -> None:
        self.journal, self.identity = journal, identity
        self._db = journal.database

    def open(self, model: str, dialect: str | None, requests: Mapping[str, str]) -> OpenBatch:
        """Writes a new batch down with its requests: key → label."""
        batch = OpenBatch(uuid.uuid4().hex, self.identity, model, dialect, len(requests), time.time())
        with self.journal.transaction():
            self._db.execute(
                "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",
                (batch.key, batch.identity, batch.model, batch.dialect, batch.requests, batch.opened),
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO batched VALUES (?, ?, ?)",
                ((key, batch.key, label) for key, label in requests.items()),
            )
        return batch

    def note(self, key: str, column: str, value: str | float) -> None:
        """Writes down how far a batch is: its `file`, that it is `creating`, its `id`."""
        if column not in ("file", "creating", "id"):
            raise ValueError(column)
        self._db.execute(f"UPDATE batches SET {column} = ? WHERE key = ?", (value, key))

    def all(self) -> list[OpenBatch]:
        """Every open batch, the oldest first."""
        rows = self._db.execute("SELECT * FROM batches WHERE identity = ? ORDER BY opened, key", (self.identity,))
        return [OpenBatch(*row) for row in rows]

    def labels(self, batch: OpenBatch) -> dict[str, str]:
        """The requests of a batch: key → label."""
        return dict(self._db.execute("SELECT key, label FROM batched WHERE batch = ?", (batch.key,)))

    def waiting(self) -> set[str]:
        """The keys of all requests that are in an open batch."""
        rows = self._db.execute(
            "SELECT batched.key FROM batched JOIN batches ON batches.key = batched.batch WHERE identity = ?",
            (self.identity,),
        )
        return {key for (key,) in rows}

    def holds(self, key: str) -> bool:
        """Whether a request is in an open batch."""
        return self._db.execute("SELECT 1 FROM batched WHERE key = ?", (key,)).fetchone() is not None

    def close(
        self,
        batch: OpenBatch,
        answers: Mapping[str, ServerAnswer] | None = None,
        failures: Iterable[tuple[str, str, Failed, int]] = (),
    ) -> None:
        """Keeps a batch's answers and failures (key, label, failure, attempts), and forgets it: all or nothing."""
        with self.journal.transaction():
            for key, answer in (answers or {}).items():
                self.journal.put(key, batch.identity, batch.model, answer)
            for key, label, failed, attempts in failures:
                self.journal.put_failure(key, batch.identity, batch.model, label, failed, attempts)
            self._db.execute("DELETE FROM batched WHERE batch = ?", (batch.key,))
            self._db.execute("DELETE FROM batches WHERE key = ?", (batch.key,))
