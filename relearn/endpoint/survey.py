"""What the journal holds of a set of requests, and what is missing. Nothing here sends anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from relearn.endpoint.budget import Prices
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Request, ServerAnswer, next_cap


@dataclass
class Survey:
    """What a set of requests needs: `missing` of `total` have no final answer yet."""

    total: int = 0
    missing: int = 0
    cost: float = 0.0  # USD of what is answered, cut answers included
    missing_bytes: int = 0  # of the messages still to be sent
    missing_messages: int = 0


def follow_caps(
    request: Request, journal: Journal, identity: str, limit: int
) -> Iterator[tuple[Request, ServerAnswer | None]]:
    """Yields (request, answer) along the larger and larger caps; the last pair is the final one, None if missing."""
    while True:
        answer = journal.get(request.key(identity))
        yield request, answer
        cap = next_cap(request.max_tokens, limit) if answer is not None and answer.cut else None
        if cap is None:
            return
        request = request.with_cap(cap)


def survey(requests: Iterable[Request], journal: Journal, identity: str, limit: int, prices: Prices) -> Survey:
    """Counts what the journal holds of these requests; sends nothing."""
    found = Survey()
    for first in requests:
        found.total += 1
        for request, answer in follow_caps(first, journal, identity, limit):
            if answer is None:
                found.missing += 1
                found.missing_bytes += request.size
                found.missing_messages += len(request.messages)
            else:
                found.cost += prices.of(answer)
    return found
