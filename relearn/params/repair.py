"""From raw replies to rows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from relearn.params.group import Group, TaskGroup, key
from relearn.params.prepare import NearDuplicates


class RowTemplate(Group):
    """How a field of a record becomes a row."""

    name: str = key("What the row is called; its id ends with it.", pattern=r"^[A-Za-z0-9_-]+$")
    instruction: str = key(
        "Instruction of the row; {text} and other fields of the source and of the record in braces are filled in.",
        min_length=1,
    )
    response: str = key("Field of the record that holds the response.", min_length=1)


class RefusalCheck(Group):
    """Refuse a reply that declines to answer."""

    kind: Literal["refusal"]


class LengthCheck(Group):
    """Refuse a reply that is too short or too long."""

    kind: Literal["length"]
    min: int = key("Shortest reply kept.", "characters", ge=1)
    max: int = key("Longest reply kept.", "characters", ge=1)

    @model_validator(mode="after")
    def _upright(self) -> LengthCheck:
        if self.max < self.min:
            raise ValueError("max is below min; raise max or lower min")
        return self


class BoilerplateCheck(Group):
    """Refuse a reply that holds a stock phrase."""

    kind: Literal["boilerplate"]
    phrases: list[str] = key("Phrases that no kept reply may hold, in any case.")


class ContradictionCheck(Group):
    """Refuse a reply that contradicts its own side."""

    kind: Literal["contradiction"]
    sides: dict[str, str] = key("The side that each row takes, by the row's name.")


class EchoCheck(Group):
    """Refuse a reply that repeats what the teacher was shown."""

    kind: Literal["echo"]
    of: str = key("Field of the source that must not be repeated.", min_length=1)
    share: float = key("Share of a reply's word 5-grams found in it that makes an echo.", "share", gt=0, le=1)


class SimilarityCheck(Group):
    """Refuse the rows of a record that say the same."""

    kind: Literal["similarity"]
    rows: list[str] = key("Names of the rows that must differ.", min_length=2)
    share: float = key("Similarity at which two replies count as the same.", "share", gt=0, le=1)


Check = Annotated[
    RefusalCheck | LengthCheck | BoilerplateCheck | ContradictionCheck | EchoCheck | SimilarityCheck,
    Field(discriminator="kind"),
]


class TaskRepair(Group):
    """How the records of a generated task become rows, and what is refused."""

    rows: list[RowTemplate] = key("The rows that a record becomes.", min_length=1)
    checks: list[Check] = key("Why a reply that reads without fault is still refused; the first reason counts.")

    @model_validator(mode="after")
    def _names(self) -> TaskRepair:
        names = [row.name for row in self.rows]
        if len(set(names)) < len(names):
            raise ValueError("rows: two have the same name; give each its own")
        for check in self.checks:
            named = check.sides if isinstance(check, ContradictionCheck) else getattr(check, "rows", ())
            for name in named:
                if name not in names:
                    raise ValueError(f"checks: {check.kind} names the row {name}; the rows are {', '.join(names)}")
        return self


class Repair(TaskGroup[TaskRepair]):
    """From the teacher's raw replies to clean rows."""

    truncated: Literal["drop", "trim", "keep"] = key(
        "A field that the reply ends inside: drop it, trim it to its last whole sentence, or keep it flagged."
    )
    duplicates: Literal["keep", "drop"] = key(
        "Equal texts of different sources: keep them all, or drop all but the first. A choice from a list may always recur."
    )
    near_duplicates: NearDuplicates | None = key("Also drop near-duplicate replies; null for exact ones only.")

    @model_validator(mode="after")
    def _near_ones_too(self) -> Repair:
        if self.near_duplicates is not None and self.duplicates == "keep":
            raise ValueError(
                "near_duplicates drops equal texts too; set duplicates to drop, or near_duplicates to null"
            )
        return self
