"""What the teacher is asked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from relearn.params.asking import Asking, ChatServer
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
            raise ValueError(f"the shares add up to {total:g}, more than 1; lower some")
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


class TaskPrompt(Group):
    """What the teacher is asked for a new task."""

    prompt: str = key("Prompt: a file of prompts/ without its ending .j2.", pattern=r"^[A-Za-z0-9_-]+$")
    record_schema: str = key(
        "JSON Schema of its answer: a file of prompts/ without its ending .json.",
        pattern=r"^[A-Za-z0-9_-]+$",
        alias="schema",
    )


class Generate(Asking, TaskGroup[TaskPrompt | None]):
    """What the teacher is asked, how fast, and for how much. Null for a new task that already has rows."""

    teacher: Annotated[EmbeddedTeacher | ChatServer, Field(discriminator="kind")]
