"""The samples of one side, in columns: a million of them are a few hundred megabytes, whatever their texts."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from relearn.errors import InputError
from relearn.logs.records import Run, Sample, Weighed
from relearn.progress import Progress

SHOWN = 5  # ids that a message names
LARGEST = 1e100  # of a score; sums of larger ones overflow
Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass
class Column:
    """A metric's scores: for each epoch one a sample, nan where there is none; `weights` for a corpus figure."""

    epochs: dict[str, array[float]] = field(default_factory=dict)
    weights: array[float] | None = None

    def put(self, index: int, epoch: str, score: float | Weighed) -> bool | None:
        """Whether the sample had no score yet; None if it had the same one."""
        value, weight = (score.value, score.weight) if isinstance(score, Weighed) else (score, None)
        column = self.epochs.setdefault(epoch, array("d"))
        _lengthen(column, index + 1)
        if weight is not None:
            self.weights = array("d") if self.weights is None else self.weights
            _lengthen(self.weights, index + 1)
            self.weights[index] = weight
        if not math.isnan(column[index]):
            return None if math.isclose(column[index], value, rel_tol=1e-9, abs_tol=1e-12) else False
        column[index] = value
        return True

    def means(self, samples: int, most: Counts | None = None) -> tuple[Floats, Counts]:
        """Each sample's mean over its epochs, or its first `most` of them (nan for none), and how many that is."""
        total, count = np.zeros(samples), np.zeros(samples, dtype=np.int64)
        for _, column in sorted(self.epochs.items()):
            values = np.full(samples, np.nan)
            values[: len(column)] = column
            there = ~np.isnan(values)
            if most is not None:
                there &= count < most
            total[there] += values[there]
            count += there
        with np.errstate(invalid="ignore"):
            return np.where(count > 0, total / count, np.nan), count

    def weighed(self, samples: int) -> Floats:
        found = np.ones(samples)
        if self.weights is not None:
            found[: len(self.weights)] = self.weights
        return found


@dataclass
class SampleTable:
    """One task's samples of one run. `ids` gives each its row."""

    run: Run
    ids: dict[str, int] = field(default_factory=dict)
    documents: array[int] = field(default_factory=lambda: array("q"))
    prompts: array[int] = field(default_factory=lambda: array("q"))
    more_prompts: dict[int, set[int]] = field(default_factory=dict)  # of samples with several: all of them
    clusters: array[int] = field(default_factory=lambda: array("q"))  # numbers of names, -1 for none
    columns: dict[str, Column] = field(default_factory=dict)
    no_numbers: dict[str, list[str]] = field(default_factory=dict)  # metric: samples whose score is nan or infinite
    again: list[str] = field(default_factory=list)  # samples that are there twice with the same scores
    conflicts: dict[str, str] = field(default_factory=dict)  # samples that are there twice with other scores: where

    def rows(self) -> list[str]:
        return list(self.ids)

    def add(self, sample: Sample, names: dict[str, int]) -> None:
        index = self.ids.setdefault(sample.id, len(self.ids))
        cluster = -1 if sample.cluster is None else names.setdefault(sample.cluster, len(names))
        if index == len(self.documents):
            self.documents.append(sample.document)
            self.prompts.append(sample.prompt)
            self.clusters.append(cluster)
        elif sample.document != self.documents[index]:
            raise InputError(
                f"{sample.where}: {sample.task} {sample.id} was there before with another document; is this the log of one run?"
            )
        elif cluster != self.clusters[index]:
            raise InputError(
                f"{sample.where}: {sample.task} {sample.id} was there before in another cluster, or in none; write one in all of its rows"
            )
        if sample.prompt and sample.prompt != self.prompts[index]:
            seen = self.more_prompts.setdefault(index, {self.prompts[index]})
            if sample.prompt not in seen:  # whatever their order
                seen.add(sample.prompt)
                self.prompts[index] ^= sample.prompt
        for metric, score in sample.scores.items():
            value = score.value if isinstance(score, Weighed) else score
            if not abs(value) < LARGEST:  # nan too
                self.no_numbers.setdefault(metric, []).append(
                    sample.id + (f", epoch {sample.epoch}" if sample.epoch else "")
                )
                continue
            added = self.columns.setdefault(metric, Column()).put(index, sample.epoch, score)
            if added is False:
                self.conflicts.setdefault(sample.id, sample.where)
            if added is None:
                self.again.append(sample.id)


def _lengthen(column: array[float], length: int) -> None:
    if len(column) < length:
        column.extend([math.nan] * (length - len(column)))


@dataclass
class Side:
    """All tasks of what a user named as one model."""

    role: str  # base, tuned or replayed
    name: str
    runs: list[Run]
    tables: dict[str, SampleTable] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_side(role: str, name: str, runs: Sequence[Run], cluster_names: dict[str, int]) -> Side:
    """Reads the runs' samples. InputError where two runs have the same task: a model is one run of each."""
    side = Side(role, name, list(runs))
    with Progress(f"compare: reading {role}", None, "samples", least=2.0) as bar:
        for run in runs:
            for sample in run.samples:
                table = side.tables.get(sample.task)
                if table is None:
                    table = side.tables[sample.task] = SampleTable(run)
                elif table.run is not run:
                    raise InputError(
                        f"{name}: holds {sample.task} in more than one run ({table.run.name}; {run.name}); name one, "
                        f"as a file or folder of its own or as {name}#RUN"
                    )
                table.add(sample, cluster_names)
                bar.update()
            side.notes += [f"{role}: {note}" for note in run.notes]
    models: dict[str, list[str]] = {}
    for task, table in side.tables.items():
        if table.run.model:
            models.setdefault(table.run.model, []).append(task)
    if len(models) > 1:
        told = "; ".join(f"{model}: {listed(tasks)}" for model, tasks in list(models.items())[:SHOWN])
        side.notes.append(
            f"{role}: {len(models)} MODELS are taken as one ({told}); if they are not, name one, as a file or folder of its own or "
            f"as {name}#RUN"
        )
    for task, table in side.tables.items():
        if table.conflicts:
            raise InputError(
                f"{next(iter(table.conflicts.values()))}: {task}: {count(len(table.conflicts), 'sample')} of {len(table.ids)} "
                f"more than once with scores that differ ({listed(list(table.conflicts))}): the rows of two models or runs in one "
                "log; take them apart, or name one as PATH#RUN"
            )
        _check_means(side, task, table)
        for metric, ids in table.no_numbers.items():
            side.notes.append(
                f"{role}: {task} {metric} is not a finite number for {listed(ids)}; left out, not taken as 0"
            )
        if table.again:
            side.notes.append(
                f"{role}: {task} has {count(len(set(table.again)), 'sample')} more than once, with the same scores; each counts once"
            )
    return side


def _check_means(side: Side, task: str, table: SampleTable) -> None:
    """A log whose own figure is not that of its samples is incomplete, or was computed differently."""
    for metric, column in table.columns.items():
        stated = table.run.stated.get((task, metric))
        values, _ = column.means(len(table.ids))
        there = ~np.isnan(values)
        if stated is None or not there.any():
            continue
        mean = float(np.average(values[there], weights=column.weighed(len(table.ids))[there]))
        mean = math.exp(mean) if (task, metric) in table.run.exponential else mean
        if not math.isclose(mean, stated.mean, rel_tol=1e-6, abs_tol=1e-9):
            side.notes.append(
                f"{side.role}: {task} {metric} is {mean:.4g} over its samples, but its log says {stated.mean:.4g}; the samples count"
            )


def count(number: int, thing: str) -> str:
    """1 sample, 2 samples."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def listed(ids: Sequence[str]) -> str:
    """A few of them by name, the others by number."""
    rest = len(ids) - SHOWN
    return ", ".join(ids[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
