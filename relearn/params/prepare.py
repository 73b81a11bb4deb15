"""Where the rows come from, and how they are split."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from relearn.params.group import Group, key


class Counts(Group):
    """Rows of each split."""

    train: int = key("Rows to train on.", "rows", ge=1)
    val: int = key("Rows whose loss is watched during training.", "rows", ge=1)
    test: int = key("Held-out rows; 200 or more make the intervals worth reading.", "rows", ge=1)


class MaxChars(Group):
    """Rows longer than this are left out and counted, never cut."""

    review: int = key("Longest review kept.", "characters", ge=20)
    instruction: int = key("Longest instruction kept (its input included).", "characters", ge=20)
    response: int = key("Longest response kept.", "characters", ge=20)


class NearDuplicates(Group):
    """MinHash near-duplicate search (Broder 1997)."""

    threshold: float = key(
        "Jaccard similarity of word 3-grams from which two texts count as the same.", "share", gt=0.3, le=1
    )
    permutations: int = key("Hash functions a signature has; more is finer and slower.", "hashes", ge=16, le=512)


class MiniSource(Group):
    """The embedded world: everything made on the spot under the seed."""

    kind: Literal["mini"]


class ReviewColumns(Group):
    """A file of reviews under data/sources/<profile>/."""

    path: str = key("File name: .csv, .jsonl or .parquet.", min_length=1)
    text: str = key("Column that holds the review.", min_length=1)
    label: str = key("Column that holds its sentiment.", min_length=1)


class InstructionColumns(Group):
    """A file of instructions with responses under data/sources/<profile>/."""

    path: str = key("File name: .csv, .jsonl or .parquet.", min_length=1)
    instruction: str = key("Column that holds the instruction.", min_length=1)
    input: str | None = key("Column whose text is appended to the instruction; null for none.")
    response: str = key("Column that holds the response.", min_length=1)
    tests: str | None = key("Column that holds Python assertions (a list, or one string); null for none.")
    group: str | None = key("Column that names the problem a row belongs to; null: the instruction itself.")


class FilesSource(Group):
    """Your own files."""

    kind: Literal["files"]
    reviews: ReviewColumns
    code: InstructionColumns
    general: InstructionColumns | None = key(
        "Instructions that nobody replays; null leaves the task out of the tables."
    )


class HubSplit(Group):
    """A split of a data set of the Hugging Face hub."""

    dataset: str = key("Repository, owner/name.", pattern=r"^[\w.-]+(/[\w.-]+)?$")
    revision: str = key("Branch, tag or commit; a branch is resolved to a commit once.", min_length=1)
    split: str = key("Split to read.", min_length=1)


class HubReviews(HubSplit):
    """A review data set of the Hugging Face hub."""

    text: str = key("Column that holds the review.", min_length=1)
    label: str = key("Column that holds its sentiment.", min_length=1)


class HubInstructions(HubSplit):
    """An instruction data set of the Hugging Face hub."""

    instruction: str = key("Column that holds the instruction.", min_length=1)
    input: str | None = key("Column whose text is appended to the instruction; null for none.")
    response: str = key("Column that holds the response.", min_length=1)


class HubSource(Group):
    """Data sets of the hub, pinned to a commit."""

    kind: Literal["hub"]
    reviews: HubReviews
    code: HubInstructions
    general: HubInstructions | None = key("Instructions that nobody replays; null leaves the task out of the tables.")


class Prepare(Group):
    """Where reviews and instructions come from, and how they are split."""

    source: Annotated[MiniSource | FilesSource | HubSource, Field(discriminator="kind")]
    reviews: Counts
    code: Counts
    general: Counts | None = key("Rows of general instructions; null where the source has none.")
    max_chars: MaxChars
    near_duplicates: NearDuplicates | None = key("Also drop near-duplicates across splits; null for exact ones only.")

    @model_validator(mode="after")
    def _general(self) -> Prepare:
        has = isinstance(self.source, MiniSource) or self.source.general is not None
        if has and self.general is None:
            raise ValueError("general is null, but the source has general instructions; give train, val and test")
        if not has and self.general is not None:
            raise ValueError("general asks for rows, but source.general is null; set both to null, or neither")
        return self
