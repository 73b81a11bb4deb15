"""What the teacher is asked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from relearn.params.group import Group, TaskGroup, key


class Breakage(Group):
    """How often the embedded teacher breaks its JSON, by kind; at most one kind a reply."""

    fence: float = key("Wrapped in a code fence.", "share", ge=0, le=1)
    prose: float = key("Prose before and after the object.", "share", ge=0, le=1)
    inner_quotes: float = key("Quotes inside a value not escaped.", "share", ge=0, le=1)
    trailing_comma: float = key("A comma after the last value.", "share", ge=0, le=1)
    missing_brace: float = key("No closing brace.", "share", ge=0, le=1)
    single_quotes: float = key("Single quotes for double ones.", "share", ge=0, le=1)
    nested: float = key("The object inside another.", "share", ge=0, le=1)
    renamed: float = key("Other key names.", "share", ge=0, le=1)
    fused: float = key("Two objects run together.", "share", ge=0, le=1)
    truncated: float = key("Cut at max_tokens.", "share", ge=0, le=1)
    refusal: float = key("A refusal instead of an answer.", "share", ge=0, le=1)
    empty: float = key("No content.", "share", ge=0, le=1)

    @model_validator(mode="after")
    def _at_most_one(self) -> Breakage:
        total = sum(getattr(self, name) for name in type(self).model_fields)
        if total > 1:
            raise ValueError(f"the shares add up to {total:g}, at most 1 is possible; lower some")
        return self


class ServerFaults(Group):
    """How often the embedded teacher's server fails a request, by kind."""

    rate_limit: float = key("429 with Retry-After.", "share", ge=0, le=1)
    rate_limit_bare: float = key("429 without Retry-After.", "share", ge=0, le=1)
    server_error: float = key("500.", "share", ge=0, le=1)
    unavailable: float = key("503.", "share", ge=0, le=1)
    stall: float = key("No answer before the timeout.", "share", ge=0, le=1)
    reset: float = key("Connection reset in the middle of the body.", "share", ge=0, le=1)
    not_json: float = key("A body that is not JSON.", "share", ge=0, le=1)
    no_choices: float = key("An answer without choices.", "share", ge=0, le=1)


class EmbeddedTeacher(Group):
    """A teacher made on the spot: a server on loopback, started and stopped by the stage."""

    kind: Literal["embedded"]
    breakage: Breakage
    faults: ServerFaults
    latency_s: float = key("Time the server takes for an answer.", "seconds", ge=0, le=60)


class ServerTeacher(Group):
    """OpenAI, or any server that speaks its chat completions."""

    kind: Literal["server"]
    base_url: str = key("The API's address, up to and including /v1.", pattern=r"^https?://\S+$")
    api_key_env: str = key("Name of the environment variable that holds the key.", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")


class TaskPrompt(Group):
    """What the teacher is asked for a new task."""

    prompt: str = key("Prompt: a file of prompts/ without its ending .j2.", pattern=r"^[A-Za-z0-9_-]+$")
    record_schema: str = key(
        "JSON Schema of its answer: a file of prompts/ without its ending .json.",
        pattern=r"^[A-Za-z0-9_-]+$",
        alias="schema",
    )


class BatchLimits(Group):
    """How requests go into batches (`mode: batch`), and what they cost there."""

    price: float = key("Share of the price that an answer of a batch costs.", "share", ge=0, le=1)
    requests: int = key("Most requests in a batch.", "requests", ge=1, le=100_000)
    megabytes: float = key("Largest file of a batch.", "MB", gt=0, le=1000)
    poll_s: float = key("Time between two looks at the batches.", "seconds", gt=0, le=3600)


class Generate(TaskGroup[TaskPrompt | None]):
    """What the teacher is asked, how fast, and for how much. Null for a new task whose rows are there already."""

    teacher: Annotated[EmbeddedTeacher | ServerTeacher, Field(discriminator="kind")]
    model: str = key("The teacher's model name.", min_length=1)
    temperature: float = key("Sampling temperature.", ge=0, le=2)
    max_tokens: int = key("Cap on an answer.", "tokens", ge=1)
    max_tokens_limit: int = key("Largest cap asked for when an answer was cut off.", "tokens", ge=1)
    response_format: Literal["none", "json_object", "json_schema"] = key("Structured output asked of the server.")
    concurrency: int = key("Requests in flight.", "requests", ge=1, le=1024)
    requests_per_minute: int | None = key("Limit; null takes it from the server's headers.", "1/min", ge=1)
    tokens_per_minute: int | None = key("Limit; null takes it from the server's headers.", "1/min", ge=1)
    timeout_s: float = key("Longest wait for one answer.", "seconds", gt=0)
    attempts: int = key("Tries of one request before it counts as failed.", "tries", ge=1, le=50)
    price_input: float = key("Price of a million prompt tokens.", "USD", ge=0)
    price_output: float = key("Price of a million completion tokens.", "USD", ge=0)
    budget_usd: float | None = key("Stop before the cost passes this; null for no budget.", "USD", gt=0)
    mode: Literal["live", "batch"] = key("Requests one by one, or the server's Batch API, within a day.")
    batch: BatchLimits
    reasoning_effort: str | None = key("Sent as it is; null sends none.", min_length=1)
    extra_body: dict[str, Any] | None = key("Further fields of each request, as the server names them.")

    @field_validator("extra_body")
    @classmethod
    def _own_fields(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        for name in ("model", "messages", "max_tokens", "temperature", "response_format", "reasoning_effort"):
            if name in (value or ()):
                raise ValueError(f"{name} has a key of its own; set that")
        for name in ("stream", "n"):
            if name in (value or ()):
                raise ValueError(f"{name} is not supported: one whole answer a request is read; remove it")
        return value

    @model_validator(mode="after")
    def _caps(self) -> Generate:
        if self.max_tokens_limit < self.max_tokens:
            raise ValueError("max_tokens_limit is below max_tokens; raise it to at least max_tokens")
        return self
