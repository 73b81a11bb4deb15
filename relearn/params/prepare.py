"""Where the rows of each task come from, and how they are split."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from relearn.params.group import Group, TaskGroup, key


class MaxChars(Group):
    """Rows longer than this are left out and counted, never cut."""

    prompt: int | None = key(
        "Longest prompt kept (its input and all turns included), or text that a teacher is shown; null for no limit.",
        "characters",
        ge=20,
    )
    response: int | None = key("Longest response kept; null for no limit.", "characters", ge=20)


class NearDuplicates(Group):
    """MinHash near-duplicate search (Broder 1997)."""

    threshold: float = key(
        "Jaccard similarity of word 3-grams at which two texts count as the same.", "share", gt=0.3, le=1
    )
    permutations: int = key("Hash functions of a signature; more is finer and slower.", "hashes", ge=16, le=512)


class TextColumns(Group):
    """Texts that a teacher is shown."""

    form: Literal["texts"]
    text: str = key("Column that holds the text.", min_length=1)
    label: str | None = key("Column by whose values each split is balanced (a sentiment, a language); null for none.")


class InstructionColumns(Group):
    """Instructions with responses."""

    form: Literal["instructions"]
    instruction: str = key("Column that holds the instruction.", min_length=1)
    input: str | None = key("Column whose text is appended to the instruction; null for none.")
    response: str = key("Column that holds the response.", min_length=1)
    tests: str | None = key("Column that holds Python assertions (a list, or one string); null for none.")
    group: str | None = key("Column that names the problem a row belongs to; null: the instruction itself.")


class MessageColumns(Group):
    """Conversations that end with an answer, as OpenAI's messages or ShareGPT's from and value."""

    form: Literal["messages"]
    messages: str = key("Column that holds the list of messages.", min_length=1)
    tests: str | None = key("Column that holds Python assertions (a list, or one string); null for none.")
    group: str | None = key("Column that names the problem a row belongs to; null: the opening question itself.")


class TemplateColumns(Group):
    """Instructions with responses, each put together from columns.

    {name} is replaced by the text of that column, {{name}} is written as {name}, and any other brace is itself.
    """

    form: Literal["templates"]
    instruction: str = key("The instruction, with {name} for the text of a column.", min_length=1)
    response: str = key("The response, likewise.", min_length=1)
    tests: str | None = key("A Python program of assertions, likewise; null for none.")
    group: str | None = key("Column that names the problem a row belongs to; null: the instruction itself.")


Columns = Annotated[TextColumns | InstructionColumns | MessageColumns | TemplateColumns, Field(discriminator="form")]


class MiniSource(Group):
    """A corpus of the embedded world, made on the spot under the seed."""

    kind: Literal["mini"]
    corpus: Literal["films", "code", "instructions"] = key("Which one; films are texts for a teacher, the others rows.")


class FilesSource(Group):
    """A file of your own under data/sources/<profile>/."""

    kind: Literal["files"]
    path: str = key("File name: .csv, .jsonl or .parquet.", min_length=1)
    columns: Columns


class PackageSource(Group):
    """A file inside an installed Python package."""

    kind: Literal["package"]
    package: str = key("The package, as it is imported.", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    path: str = key("The file inside it: .csv, .jsonl or .parquet; .csv.gz and .jsonl.gz too.", min_length=1)
    sha256: str = key("The file's SHA-256, which is checked.", pattern=r"^[0-9a-f]{64}$")
    columns: Columns


class SkillsSource(Group):
    """A suite of skills, each item with programmatic checks of its answer. Nobody trains on it."""

    kind: Literal["skills"]
    path: str | None = key(
        "Folder of your own under data/sources/<profile>/, one YAML file per skill; null for the package's suite."
    )


class HubSource(Group):
    """A data set of the Hugging Face hub, pinned to a commit."""

    kind: Literal["hub"]
    dataset: str = key("Repository, owner/name.", pattern=r"^[\w.-]+(/[\w.-]+)?$")
    revision: str = key("Branch, tag or commit; a branch is resolved to a commit once.", min_length=1)
    split: str = key("Split to read.", min_length=1)
    columns: Columns


class TaskRows(Group):
    """The rows of a task."""

    source: Annotated[MiniSource | FilesSource | PackageSource | HubSource | SkillsSource, Field(discriminator="kind")]
    train: int = key("Rows to train on.", "rows", ge=0)
    val: int = key("Rows whose loss is measured during training.", "rows", ge=0)
    test: int = key(
        "Held-out rows; 200 or more make the intervals worth reading. Of a suite of skills: of each skill, at most.",
        "rows",
        ge=1,
    )
    max_chars: MaxChars

    @property
    def is_texts(self) -> bool:
        """Whether the source gives texts for a teacher rather than rows."""
        if isinstance(self.source, MiniSource):
            return self.source.corpus == "films"
        return not isinstance(self.source, SkillsSource) and isinstance(self.source.columns, TextColumns)


class Prepare(TaskGroup[TaskRows]):
    """Where the rows of each task come from, and how they are split."""

    near_duplicates: NearDuplicates | None = key("Also drop near-duplicates across splits; null for exact ones only.")

    @model_validator(mode="after")
    def _one_task_a_corpus(self) -> Prepare:
        taken: dict[str, str] = {}
        for name, rows in self.by_task.items():
            if isinstance(rows.source, MiniSource):
                other = taken.setdefault(rows.source.corpus, name)
                if other != name:
                    raise ValueError(
                        f"{other} and {name} both take mini's corpus {rows.source.corpus}; only one task may"
                    )
        return self
