"""Which part each task and each model plays: all that evaluation and report know of an experiment's names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relearn.records import Role


@dataclass(frozen=True)
class ScoredTask:
    """A task as it is scored: `metrics` in the table's order, the first its headline.

    `new`: what the tuned model was taught. `replayed`: an old skill that the replayed model trained on again.
    `watched`: an old skill that nobody replays.
    """

    name: str
    role: Role
    metrics: tuple[str, ...]

    @property
    def is_new(self) -> bool:
        return self.role == "new"


@dataclass(frozen=True)
class ModelRoles:
    """The models by part. `replayed` is None where nothing was; `others` are compared with base only."""

    base: str
    tuned: str
    replayed: str | None = None
    others: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """All models, in the order of tables."""
        return [self.base, *self.trained, *self.others]

    @property
    def steps(self) -> list[tuple[str, str]]:
        """(before, after) of every comparison: which model each one is compared with."""
        recovered = [(self.tuned, self.replayed)] if self.replayed is not None else []
        return [(self.base, self.tuned), *recovered, *((self.base, other) for other in self.others)]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs whose answers are compared directly: base and tuned, tuned and replayed, base and replayed."""
        if self.replayed is None:
            return [(self.base, self.tuned)]
        return [(self.base, self.tuned), (self.tuned, self.replayed), (self.base, self.replayed)]

    @property
    def trained(self) -> list[str]:
        """The models that a round of training made."""
        return [self.tuned, *([self.replayed] if self.replayed is not None else [])]

    def part(self, model: str) -> str:
        """base, tuned, replayed or other: what a colour goes by."""
        parts = {self.base: "base", self.tuned: "tuned", self.replayed: "replayed"}
        return parts.get(model, "other")


def axis_tasks(tasks: Sequence[ScoredTask]) -> tuple[list[ScoredTask], list[ScoredTask]]:
    """The tasks that a plot's old and new axis are means of: the replayed ones (else the watched), and the new."""
    old = [task for task in tasks if task.role == "replayed"] or [task for task in tasks if task.role == "watched"]
    return old, [task for task in tasks if task.is_new]
