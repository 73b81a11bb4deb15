"""Cards for what leaves the project: the data set and the adapters, with what anyone who takes them should know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relearn.escaping import fenced
from relearn.report.analysis import Analysis, markdown_templates
from relearn.report.words import Words, join


@dataclass(frozen=True)
class DatasetFacts:
    """What the data set's card says.

    `about` is what the rows teach, in words. `splits` and `kinds` map a split, and the kind of a row, to its rows;
    `sources` a task to where what the teacher was shown, or the finished rows, come from; `prompts` a task to the
    teacher's prompt, a template, where there is one.
    """

    about: str
    splits: Mapping[str, int]
    kinds: Mapping[str, int]
    teacher: str
    embedded: bool
    sources: Mapping[str, str]
    prompts: Mapping[str, str]
    temperature: float
    repair: Mapping[str, Any]
    generate: Mapping[str, Any]


@dataclass(frozen=True)
class ModelFacts:
    """What an adapter's card says. `model` is its name, and that of its folder; `base` is the name or folder of its base; `table` the 3a table in Markdown."""

    model: str
    base: str
    hub: bool
    commit: str | None
    provenance: Mapping[str, Any]
    lora: Mapping[str, Any]
    table: str
    analysis: Analysis
    words: Words


def dataset_card(facts: DatasetFacts) -> str:
    """README.md of the data set, with the hub's front matter."""
    rows = sum(facts.splits.values())
    sizes = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    size = next((name for limit, name in sizes if rows < limit), "n>1M")
    return _render(
        "dataset_card.md.j2",
        facts=facts,
        title=f"Instructions that teach {facts.about}",
        rows=rows,
        size=size,
        fenced=fenced,
        join=join,
    )


def model_card(facts: ModelFacts) -> str:
    """README.md of an adapter, with the hub's front matter and the measured forgetting."""
    return _render(
        "model_card.md.j2",
        facts=facts,
        changes=facts.analysis.changes,
        words=facts.words,
        roles=facts.words.roles,
        score="{:.3f}".format,
    )


def _render(name: str, **values: Any) -> str:
    return markdown_templates().get_template(name).render(**values)


def split_rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows by split, as the hub names splits (val is validation), in the order train, validation, test."""
    names = {"train": "train", "val": "validation", "test": "test"}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names.values()}
    for row in rows:
        values = dict(row)
        found[names[values.pop("split")]].append(values)
    return {name: chosen for name, chosen in found.items() if chosen}
