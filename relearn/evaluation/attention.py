"""Attention checks of the rating page: items that give an instruction in place of an answer.

Such instructed items tell who reads from who clicks (Meade & Craig 2012). Which there are follows from the run's seed,
so that evaluation finds them again; a rater who fails one is shown apart from the others.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from relearn.evaluation import blind

SCORED, PAIRED = 2, 2  # checks among the answers to score, and among the pairs


@dataclass(frozen=True)
class AttentionCheck:
    """An item of the page. `key` marks the answer that is the check; `scores` it asks for, or to be chosen (None)."""

    id: str
    key: str
    scores: tuple[int, int] | None

    @property
    def text(self) -> str:
        """What is in the answer's place."""
        what = "This is not an answer but a check that the answers are read."
        if self.scores is None:
            return f"{what} Please choose this one."
        return f"{what} Please give it {self.scores[0]} for helpful and {self.scores[1]} for correct."


def list_checks(seed: int) -> list[AttentionCheck]:
    """The checks of a run's page, those to be scored first."""
    generator = random.Random(f"attention/{seed}")
    found = []
    for number in range(SCORED + PAIRED):
        name = f"attention-{number + 1}"
        helpful, correct = generator.sample(range(1, 6), 2)  # two that differ: who gives all the same fails
        scores = (helpful, correct) if number < SCORED else None
        found.append(AttentionCheck(name, blind.key(seed, name, "check", ""), scores))
    return found
