"""From raw replies to rows."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from relearn.params.group import Group, key
from relearn.params.prepare import NearDuplicates


class InstructionTexts(Group):
    """How a review becomes an instruction, by stance; `{review}` is where its text goes."""

    agree: str = key("Instruction for an agreeing reply.")
    disagree: str = key("Instruction for a disagreeing reply.")

    @model_validator(mode="after")
    def _placeholder(self) -> InstructionTexts:
        for name in ("agree", "disagree"):
            if getattr(self, name).count("{review}") != 1:
                raise ValueError(
                    f"{name} must hold {{review}} exactly once; write it where the text of the review belongs"
                )
        return self


class Repair(Group):
    """From the teacher's raw replies to clean rows."""

    truncated: Literal["drop", "trim", "keep"] = key(
        "A field that the reply ends inside: drop it, trim it to its last whole sentence, or keep it flagged."
    )
    min_chars: int = key("Shortest reply kept.", "characters", ge=1)
    max_chars: int = key("Longest reply kept.", "characters", ge=1)
    echo: float = key(
        "Share of a reply's word 5-grams found in the review from which it is an echo.", "share", gt=0, le=1
    )
    similarity: float = key("Similarity of agree and disagree from which they count as the same.", "share", gt=0, le=1)
    contradictions: bool = key("Refuse a reply that contradicts its own stance.")
    boilerplate: list[str] = key("Phrases that no kept reply may hold, in any case.")
    near_duplicates: NearDuplicates | None = key("Also drop near-duplicate replies; null for exact ones only.")
    instructions: InstructionTexts

    @model_validator(mode="after")
    def _lengths(self) -> Repair:
        if self.max_chars < self.min_chars:
            raise ValueError("max_chars is below min_chars; raise max_chars or lower min_chars")
        return self
