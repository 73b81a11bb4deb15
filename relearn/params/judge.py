"""Whether a model judges pairs of answers, which ones, and how it is asked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from relearn.params.asking import Asking, ChatServer
from relearn.params.group import Group, key


class EmbeddedJudge(Group):
    """A judge by rules, with faults of known size: for tests and tries. A server on loopback, run by the stage."""

    kind: Literal["embedded"]
    position_bias: float = key("Logits by which it prefers the answer shown first.", ge=-10, le=10)
    length_bias: float = key("Logits by which it prefers an answer twice as long.", ge=-10, le=10)
    ties: float = key("How often it says that both are equally good.", "share", ge=0, le=1)
    unreadable: float = key("How often its answer names neither.", "share", ge=0, le=1)

    @model_validator(mode="after")
    def _at_most_one(self) -> EmbeddedJudge:
        if self.ties + self.unreadable > 1:
            raise ValueError(
                f"ties and unreadable add up to {self.ties + self.unreadable:g}, more than 1; lower one of them"
            )
        return self


class Judging(Asking):
    """A model says of two answers to a prompt which is better, in both orders."""

    judge: Annotated[EmbeddedJudge | ChatServer, Field(discriminator="kind")]
    prompt: str = key("The criterion: a file of prompts/ without its ending .j2.", pattern=r"^[A-Za-z0-9_-]+$")
    tasks: list[str] = key("Tasks of open prompts, whose answers are judged.", min_length=1)
    prompts: int = key("Prompts of each task, drawn under the seed: two requests for each pair of models.", ge=1)
