"""What a batch of requests comes to: the lines of its results, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from relearn.endpoint.dialect import Dialect
from relearn.endpoint.errors import Failed, classify, find_problem, redact
from relearn.endpoint.journal.batches import OpenBatch
from relearn.endpoint.reading import dump_raw, read_completion
from relearn.endpoint.request import Address, ServerAnswer
from relearn.errors import InputError


def read_results(
    content: bytes, model: str, dialect: Dialect, secret: str
) -> Iterator[tuple[str | None, ServerAnswer | Failed]]:
    """(the request's key, its answer or why there is none) of each line; the key is None for a line without one."""
    for line in content.split(b"\n"):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            key = str(row["custom_id"])
        except (ValueError, RecursionError, TypeError, KeyError):
            yield None, Failed("unreadable_line", "the line is not a result")
            continue
        try:
            marked = dialect.mark(_read_row(row, model, secret))
        except Failed as failed:
            yield key, failed
        else:
            yield key, ServerAnswer(**{**vars(marked), "batched": True})


def _read_row(row: dict[str, Any], model: str, secret: str) -> ServerAnswer:
    response = row.get("response")
    if isinstance(response, dict):
        body, status = response.get("body"), response.get("status_code")
        if status in (None, 200):
            return read_completion(body, model, secret)
        problem = find_problem(body) or find_problem({"error": body if body else "no message"})
    else:
        status, problem = None, find_problem(row)
    if problem is None:
        raise Failed("no_choices", "the line holds no answer", raw=dump_raw(row))
    if "expired" in problem.names or "cancel" in problem.names:
        raise Failed("batch_expired", redact(problem.message, secret))
    failed = classify(status if isinstance(status, int) else 502, problem, redact(problem.message, secret))
    failed.raw = failed.raw or dump_raw(row)
    raise failed


def explain_end(batch: OpenBatch, state: dict[str, Any], address: Address, answered: int) -> InputError | None:
    """The line for a batch that did not run to its end by itself; None for one that did, or ran out of time."""
    status = str(state.get("status"))
    if status in ("completed", "expired"):
        return None
    where, kept = address.base_url, f"{answered} of its {batch.requests} answers are kept"
    if status == "failed":
        problem = find_problem(state.get("errors")) or find_problem(state.get("errors", {}).get("data") or [])
        why = redact(problem.message, address.api_key) if problem else "the server does not say why"
        return InputError(f"{where}: batch {batch.id} failed: {why.rstrip('.')}; {kept}; fix that and run again")
    return InputError(f"{where}: batch {batch.id} was cancelled there; {kept}; run again to send the others")
