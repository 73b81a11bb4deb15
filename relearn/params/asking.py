"""How a model behind an API is asked, how fast, and for how much: what the teacher's and the judge's requests share."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import field_validator, model_validator

from relearn.params.group import Group, key


class ChatServer(Group):
    """OpenAI, or any server that speaks its chat completions."""

    kind: Literal["server"]
    base_url: str = key("The API's address, up to and including /v1.", pattern=r"^https?://\S+$")
    api_key_env: str = key("Name of the environment variable that holds the key.", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")


class BatchLimits(Group):
    """How requests go into batches (`mode: batch`), and what they cost there."""

    price: float = key("Share of the price that an answer of a batch costs.", "share", ge=0, le=1)
    requests: int = key("Most requests in a batch.", "requests", ge=1, le=100_000)
    megabytes: float = key("Largest file of a batch.", "MB", gt=0, le=1000)
    poll_s: float = key("Time between two checks of the batches.", "seconds", gt=0, le=3600)


class Asking(Group):
    """Requests to a model: what goes with each, limits, and the budget."""

    model: str = key("The model's name, as the server knows it.", min_length=1)
    temperature: float = key("Sampling temperature.", ge=0, le=2)
    max_tokens: int = key("Cap on an answer.", "tokens", ge=1)
    max_tokens_limit: int = key("Largest cap, to which it grows where an answer is cut off.", "tokens", ge=1)
    response_format: Literal["none", "json_object", "json_schema"] = key("Structured output to ask the server for.")
    concurrency: int = key("Requests in flight.", "requests", ge=1, le=1024)
    requests_per_minute: int | None = key("Limit; null takes it from the server's headers.", "1/min", ge=1)
    tokens_per_minute: int | None = key("Limit; null takes it from the server's headers.", "1/min", ge=1)
    timeout_s: float = key("Longest wait for one answer.", "seconds", gt=0)
    attempts: int = key("Attempts at one request before it counts as failed.", "attempts", ge=1, le=50)
    price_input: float = key("Price per million prompt tokens.", "USD", ge=0)
    price_output: float = key("Price per million completion tokens.", "USD", ge=0)
    budget_usd: float | None = key("Stop before the cost exceeds this; null for no budget.", "USD", gt=0)
    mode: Literal["live", "batch"] = key("Requests one by one, or the server's Batch API, within a day.")
    batch: BatchLimits
    reasoning_effort: str | None = key("Sent as it is; null sends none.", min_length=1)
    extra_body: dict[str, Any] | None = key("Further fields of each request, as the server names them.")

    @field_validator("extra_body")
    @classmethod
    def _own_fields(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        for name in ("model", "messages", "max_tokens", "temperature", "response_format", "reasoning_effort"):
            if name in (value or ()):
                raise ValueError(f"{name} has a key of its own; set that one")
        for name in ("stream", "n"):
            if name in (value or ()):
                raise ValueError(f"{name} is not supported: one whole answer a request is read; remove it")
        return value

    @model_validator(mode="after")
    def _caps(self) -> Asking:
        if self.max_tokens_limit < self.max_tokens:
            raise ValueError("max_tokens_limit is below max_tokens; raise it to at least max_tokens")
        return self
