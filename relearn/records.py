"""The rows that travel between stages; `relearn.files` reads and writes them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Split = Literal["train", "val", "test"]
Stance = Literal["agree", "disagree"]
Task = Literal["code", "reviews", "general", "probe", "old", "new"]  # old, new: of relearn.compare
Model = Literal["base", "2b", "2c"]

TASKS: tuple[Task, ...] = ("code", "reviews", "general")
MODELS: tuple[Model, ...] = ("base", "2b", "2c")
STANCES: tuple[Stance, ...] = ("agree", "disagree")


class Record(BaseModel):
    """A row: immutable, and refused when a field is unknown, missing or of the wrong type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Review(Record):
    """A film review. `label` is its sentiment, `positive` or `negative` (or what the source calls it)."""

    id: str
    text: str
    label: str
    split: Split


class Original(Record):
    """A row of the data the base learned from: a code problem or a general instruction.

    `tests` are Python assertions that a right answer passes (empty where the source has none); `group` is the
    cluster that intervals resample: the problem, or the family of a templated corpus.
    """

    id: str
    task: Literal["code", "general"]
    instruction: str
    response: str
    tests: list[str]
    group: str
    split: Split


class Usage(Record):
    """Tokens as the server counted them."""

    prompt_tokens: int
    completion_tokens: int


class Reply(Record):
    """What the teacher sent for one review, untouched. `request` is the hash of what was asked.

    `raw` is the message as JSON where it holds no text but something else: reasoning, a tool call, an error.
    """

    id: str
    content: str | None
    finish_reason: str | None
    model: str
    usage: Usage | None
    request: str
    refusal: str | None = None
    raw: str | None = Field(default=None, exclude_if=lambda raw: raw is None)


class Instruction(Record):
    """A clean row of the new task: one stance towards one review, and the reply to learn."""

    id: str
    review_id: str
    stance: Stance
    instruction: str
    response: str
    split: Split
    flags: list[str]


class Quarantined(Record):
    """What repair could not use: the raw text, and why. `field` is None when the whole reply was refused."""

    id: str
    field: str | None
    reason: str
    content: str


class Prediction(Record):
    """A model's answer to a held-out prompt.

    `prompt` is the instruction as a person wrote it (without the chat template) and is never part of
    `prediction`. `nll` is the negative log-likelihood of `reference` under the model, in nats, summed over its
    tokens and the end token; `bytes` the reference's length in UTF-8. Both are None where there is no reference.
    """

    id: str
    task: Task
    group: str
    prompt: str
    reference: str | None
    prediction: str
    finish_reason: Literal["stop", "length"]
    nll: float | None
    bytes: int | None


class SeedPrediction(Prediction):
    """An answer of 2b or 2c trained with a further seed."""

    model: Model
    seed: int
