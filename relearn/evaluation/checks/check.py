"""What a check is, and the question every check asks: the answer is not empty and does not loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict

from relearn.evaluation import repetition
from relearn.sandbox import runner as sandbox


@dataclass(frozen=True)
class CheckSettings:
    """What is a loop (`probe_3b`), and how the tests of a function may be run (`eval_3a`)."""

    ngram: int
    loop_share: float
    execute: Literal["off", "strict", "best_effort"]
    limits: sandbox.ProgramLimits


@dataclass(frozen=True)
class CheckOutcome:
    """Whether the answer holds up, and if not, why."""

    passed: bool
    reason: str


CHECKS: dict[str, type[Check]] = {}  # by the `type` that a file names; a subclass of Check joins by itself


class Check(BaseModel):
    """A property of an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        (kind,) = get_args(cls.model_fields["type"].annotation)
        CHECKS[kind] = cls

    @property
    def runs_programs(self) -> bool:
        """Whether it runs what a model wrote, in the sandbox."""
        return False

    def fault(self, answer: str, settings: CheckSettings) -> str:
        """What is wrong with the answer, in a few words; empty where nothing is."""
        raise NotImplementedError


def check_answer(checks: Sequence[Check], answer: str, settings: CheckSettings) -> CheckOutcome:
    """The first thing that is wrong with an answer, if any. InputError as `sandbox.command`."""
    if not answer.strip():
        return CheckOutcome(False, "empty")
    if repetition.loops(answer, settings.ngram, settings.loop_share):
        return CheckOutcome(False, "loops")
    for one in checks:
        reason = one.fault(answer, settings)
        if reason:
            return CheckOutcome(False, reason)
    return CheckOutcome(True, "")
