"""Faults of the embedded teacher's server: what goes wrong between a model and its client.

By rate (drawn from one seeded generator in the order of arrival, so that a retry may fare better), or by script:
a list of kinds for the first requests that arrive, `ok` for none.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Kinds that a rate may be given for. The last two are answers, if poor ones; the others are not.
KINDS = [
    "rate_limit",
    "rate_limit_bare",
    "server_error",
    "unavailable",
    "stall",
    "reset",
    "not_json",
    "no_choices",
    "null_content",
    "refusal",
]
# Kinds for scripts only: what no retry fixes.
SCRIPTED = [*KINDS, *["ok", "auth", "quota", "unknown_model", "format_refused", "content_filter", "busy_long"]]


@dataclass(frozen=True)
class HttpFailure:
    """An HTTP error in the shape OpenAI's API gives it."""

    status: int
    message: str
    type: str
    code: str | None = None
    param: str | None = None
    retry_after: int | None = None

    def body(self) -> str:
        """The JSON body."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return json.dumps({"error": error})


FAILURES: dict[str, HttpFailure] = {
    "rate_limit": HttpFailure(
        429, "Rate limit reached; try again in 1s.", "requests", "rate_limit_exceeded", retry_after=1
    ),
    "rate_limit_bare": HttpFailure(429, "Rate limit reached.", "requests", "rate_limit_exceeded"),
    "busy_long": HttpFailure(429, "Daily limit reached.", "requests", "rate_limit_exceeded", retry_after=86400),
    "server_error": HttpFailure(500, "The server had an error while processing your request.", "server_error"),
    "unavailable": HttpFailure(503, "The engine is currently overloaded.", "server_error"),
    "auth": HttpFailure(401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    "quota": HttpFailure(429, "You exceeded your current quota.", "insufficient_quota", "insufficient_quota"),
    "unknown_model": HttpFailure(404, "The model does not exist.", "invalid_request_error", "model_not_found"),
    "format_refused": HttpFailure(
        400, "'response_format' is not supported.", "invalid_request_error", None, "response_format"
    ),
}


class FaultPlan:
    """Says for each request that arrives what goes wrong with it.

    `rates` are shares of the requests by kind; `script` comes first, a kind a request.
    """

    def __init__(self, rates: Mapping[str, float] | None = None, seed: int = 0, script: Sequence[str] = ()) -> None:
        self.rates = dict(rates or {})
        unknown = [kind for kind in self.rates if kind not in KINDS] + [kind for kind in script if kind not in SCRIPTED]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not a kind of fault; use one of {', '.join(SCRIPTED)}")
        if sum(self.rates.values()) > 1:
            raise ValueError("the rates of the faults add up to more than 1")
        self.script = list(reversed(script))
        self.rng = random.Random(f"faults/{seed}")

    def next(self) -> str | None:
        """The kind of fault for the request that has just arrived, or None."""
        if self.script:
            kind = self.script.pop()
            return None if kind == "ok" else kind
        draw, edge = self.rng.random(), 0.0
        for kind in KINDS:
            edge += self.rates.get(kind, 0.0)
            if draw < edge:
                return kind
        return None
