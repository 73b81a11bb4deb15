"""The rows that travel between stages; `relearn.files` reads and writes them."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

Split = Literal["train", "val", "test"]
Role = Literal["new", "replayed", "watched"]


class Record(BaseModel):
    """A row: immutable, and refused when a field is unknown, missing, of the wrong type, or not a finite number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def model_post_init(self, context: Any, /) -> None:
        # pydantic keeps the names of the fields that were given, with every row: half of its memory. One set serves all.
        object.__setattr__(self, "__pydantic_fields_set__", _list_fields(type(self)))

    def __copy__(self) -> Self:
        copied = super().__copy__()
        object.__setattr__(copied, "__pydantic_fields_set__", _list_fields(type(self)))
        return copied


@cache
def _list_fields(kind: type[Record]) -> set[str]:
    return set(kind.model_fields)


class Message(Record):
    """A turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Row(Record):
    """A conversation that ends with the answer to learn, of a task of some role.

    `tests` are Python assertions that a right answer passes (empty where the source has none); `group` is the
    cluster that intervals resample: the problem, the source, or the family of a templated corpus.
    """

    id: str
    task: str
    role: Role
    group: str
    split: Split
    messages: list[Message]
    tests: list[str]

    @property
    def prompt(self) -> list[Message]:
        """The turns before the answer."""
        return self.messages[:-1]

    @property
    def response(self) -> str:
        """The answer."""
        return self.messages[-1].content

    @property
    def instruction(self) -> str:
        """The prompt for people: the question where there is one turn, else all turns with their roles."""
        return show_turns(self.prompt)


class NewRow(Row):
    """A row of a new task. `source` is the id of what the teacher was shown, or its own; `template` the name of the
    row template, empty for a row from a file; `flags` say what was repaired in it."""

    source: str
    template: str
    flags: list[str]


class Source(Record):
    """What the teacher is shown: its fields fill the prompt and the row templates. Splits are balanced by `label`."""

    id: str
    task: str
    group: str
    label: str | None
    split: Split
    fields: dict[str, str]


class SampledRow(Record):
    """What the base itself wrote, drawn at temperature 1: an answer, and the prompt too unless that was `given`."""

    id: str
    given: bool
    messages: list[Message]
    finish_reason: Literal["stop", "length"]


class Drift(Record):
    """How far a model has moved from the base along an answer that the base drew to a held-out prompt.

    `divergence` is KL(base‖model) over the whole vocabulary, in nats, summed over the answer's `tokens`. `seed` is that of a
    round that was trained with a further one.
    """

    id: str
    task: str
    group: str
    model: str
    seed: int | None
    tokens: int
    divergence: float


class Usage(Record):
    """Tokens as the server counted them."""

    prompt_tokens: int
    completion_tokens: int


class Reply(Record):
    """What the teacher sent for one source, untouched. `request` is the hash of what was asked.

    `raw` is the message as JSON where it holds something other than text: reasoning, a tool call, an error.
    """

    id: str
    task: str
    content: str | None
    finish_reason: str | None
    model: str
    usage: Usage | None
    request: str
    refusal: str | None = None
    raw: str | None = Field(default=None, exclude_if=lambda raw: raw is None)


class Quarantined(Record):
    """What repair could not use of a reply: the raw text, and why.

    `row` is the row template that gave no row for it, `field` the record's field; both None for the whole reply.
    """

    id: str
    task: str
    row: str | None
    field: str | None
    reason: str
    content: str


class Prediction(Record):
    """A model's answer to a held-out prompt.

    `prompt` is the instruction as a person wrote it (without the chat template) and is never part of
    `prediction`; nor is reasoning: where an answer had any, `raw` is the whole of it. `nll` is the negative
    log-likelihood of `reference` under the model, in nats, summed over its tokens and its end; `bytes` the reference's
    length in UTF-8. Both are None where there is no reference.
    """

    id: str
    task: str
    group: str
    prompt: str
    reference: str | None
    prediction: str
    raw: str | None = Field(default=None, exclude_if=lambda raw: raw is None)
    finish_reason: Literal["stop", "length"]
    nll: float | None
    bytes: int | None


class Judgement(Record):
    """What a judge said of two models' answers to a prompt, shown to it in one order.

    `first` and `second` are the models whose answers it saw first and second, `first_chars` and `second_chars` the
    answers' lengths in characters. `better` is None where what it wrote (`content`) cannot be read, and `reason` says
    why. `request` is the hash of what was asked; None where both answers are the same text: a tie, and no judge is
    asked.
    """

    id: str
    task: str
    group: str
    first: str
    second: str
    first_chars: int
    second_chars: int
    better: Literal["first", "second", "tie"] | None
    reason: str | None
    content: str | None
    request: str | None


def make_turns(instruction: str, response: str | None = None) -> list[Message]:
    """A conversation of one question, and its answer where one is given."""
    asked = Message(role="user", content=instruction)
    return [asked] if response is None else [asked, Message(role="assistant", content=response)]


def show_turns(turns: list[Message]) -> str:
    """Turns for people: the text where there is one, else each below its role."""
    if len(turns) == 1:
        return turns[0].content
    return "\n\n".join(f"{turn.role}: {turn.content}" for turn in turns)
