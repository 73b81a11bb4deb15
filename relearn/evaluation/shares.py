"""The shares of a task's rows that processes score: what each row says by itself, for all models at once.

The models' answers to a row have its reference in common, which is read once for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from operator import methodcaller
from typing import Any, NamedTuple

from relearn.metrics.code.find import holds_code
from relearn.metrics.metric import Measured, all_metrics
from relearn.params.evaluate import Scoring
from relearn.reasoning import take_off_reasoning
from relearn.scripts import has_latin_letters
from relearn.workers import Workers, chunked

# Rows of a share: the n-grams of so many references are held at once, up to a megabyte each where texts are long.
ROWS = 100
# Answers from which on other processes are started. That takes as long as scoring 3,000 of them (nltk, which ROUGE's
# stemmer is from, loads most of what is installed).
FEWEST = 6_000

Share = Any  # an `AnswerShare` or a `ReferenceShare`


def share_out(answers: int) -> Workers[Share, Any]:
    """The processes that score so many answers: this one alone where they are few."""
    return Workers(methodcaller("run"), 0 if answers >= FEWEST else math.inf)


@dataclass(frozen=True)
class ReferenceShare:
    """Some references, to be told of how many hold code, and have mostly Latin letters."""

    references: list[str]

    def __len__(self) -> int:
        return len(self.references)

    def run(self) -> tuple[int, int]:
        return sum(map(holds_code, self.references)), sum(map(has_latin_letters, self.references))


class ReferenceTraits(NamedTuple):
    """What most of the references of a task are."""

    code: bool
    latin: bool


def examine(references: Sequence[str | None], workers: Workers[Share, Any] | None = None) -> ReferenceTraits:
    """Whether at least half of the references that are there hold code, and have mostly Latin letters."""
    present = [reference for reference in references if reference]
    with share_out(0) if workers is None else nullcontext(workers) as at_work:
        found = [told for _, told in at_work.map(map(ReferenceShare, chunked(present, ROWS)))]
    code, latin = (sum(numbers) for numbers in zip(*found, strict=True)) if found else (0, 0)
    return ReferenceTraits(2 * code >= len(present) > 0, 2 * latin >= len(present))


class ScoredShare(NamedTuple):
    """What a share of one model's answers gave.

    `measured` has each metric's scores of all rows of the share, zeros for those that lack what it needs, and how many do
    not. `reasoned` says which answers held reasoning; `answers` and `references` are the texts that are others without it,
    by row of the share.
    """

    measured: dict[str, tuple[int, Measured]]
    reasoned: list[bool]
    answers: dict[int, str]
    references: dict[int, str]


class ModelRows(NamedTuple):
    """What one model was asked in the rows of a share, and its answers."""

    prompts: list[str]
    references: list[str | None]
    answers: list[str]


@dataclass(frozen=True)
class AnswerShare:
    """Some rows of a task with every model's answers to them, and the metrics that score each row by itself."""

    metrics: Sequence[str]
    settings: Scoring
    asked: Mapping[Any, ModelRows]

    def __len__(self) -> int:
        return sum(len(own.answers) for own in self.asked.values())

    def run(self) -> dict[Any, ScoredShare]:
        references = {one for own in self.asked.values() for one in own.references if one is not None}
        wanted = {one: take_off_reasoning(one)[0] for one in references}
        return {model: self._score(own, wanted) for model, own in self.asked.items()}

    def _score(self, asked: ModelRows, wanted: Mapping[str, str]) -> ScoredShare:
        """`wanted` are the references without reasoning. One that is nothing else is left as it is, and so is the answer
        to it: there the tags are what was asked for."""
        given = asked.answers
        answers, references, reasoned = list(given), list(asked.references), [False] * len(given)
        for index, reference in enumerate(asked.references):
            bare = None if reference is None else wanted[reference]
            if bare is None or bare.strip():
                answers[index], reasoned[index] = take_off_reasoning(given[index])
                references[index] = bare
        columns: dict[str, list[Any]] = {"predictions": answers, "references": references, "prompts": asked.prompts}
        measured: dict[str, tuple[int, Measured]] = {}
        for name in self.metrics:
            metric = all_metrics()[name]
            where = [
                index for index in range(len(given)) if all(columns[need][index] is not None for need in metric.needs)
            ]
            read = {column: [columns[column][index] for index in where] for column in metric.reads}
            found = metric.measure_share(read, self.settings)
            scores = [one.spread(where, len(given)) for one in found.scores]
            measured[name] = len(where), replace(found, scores=scores)
        return ScoredShare(
            measured,
            reasoned,
            {index: new for index, (new, old) in enumerate(zip(answers, given, strict=True)) if new != old},
            {
                index: new
                for index, (new, old) in enumerate(zip(references, asked.references, strict=True))
                if new is not None and new != old
            },
        )
