"""What a metric is, and which ones exist: every module of this package that has a `METRIC`.

Finding them imports nothing heavy: a metric imports its libraries when it scores.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import pkgutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from relearn import metrics
from relearn.errors import InputError
from relearn.statistics.scores import Direction, Scores

Column = Literal["predictions", "references", "prompts", "tests", "passed", "nll", "bytes"]


@dataclass(frozen=True)
class Measured:
    """What a metric found over some items: scores, and how far to trust them.

    `notes` say which texts it cannot see, each in one clause; `signature` what it chose by looking at them. `counts` are
    shown, `tallies` are not: both are sums over items.
    """

    scores: Sequence[Scores]
    counts: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()
    signature: Mapping[str, Any] = field(default_factory=dict)
    tallies: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Metric:
    """A metric over items.

    `score` takes the columns of `reads`, lists over the same items, and by name the settings of `options` (fields of
    `Scoring`). Items that lack a column of `needs` are left out. `better` says which way is up.

    A metric that is `apart` scores each item by itself: shares of the items go to several processes. What only all items
    together say (notes, a signature, counts that are no sums), `conclude` adds.
    """

    name: str
    label: str
    score: Callable[..., Scores | Measured]
    reads: tuple[Column, ...] = ("predictions", "references")
    needs: tuple[Column, ...] = ("references",)
    options: tuple[str, ...] = ()
    better: Direction = "higher"
    library: str | None = None
    paper: str = ""
    describe: Callable[..., dict[str, Any]] = lambda **_: {}  # what else a signature says, from the options
    signed: str | None = None  # what signatures call it, where that is not its name
    models: tuple[str, ...] = ()  # modules of the extra `models` without which it cannot score
    apart: bool = False
    conclude: Callable[[Measured], Measured] = lambda measured: measured

    def measure(self, columns: Mapping[Any, Sequence[Any]], settings: object) -> Measured:
        """Scores the items whose columns are given; `settings` has the attributes that `options` names."""
        return self.join([self.measure_share(columns, settings)])

    def measure_share(self, columns: Mapping[Any, Sequence[Any]], settings: object) -> Measured:
        """Scores some of the items, for `join`. Raises InputError for a metric that does not return a value an item."""
        read = [list(columns[name]) for name in self.reads]
        found = self.score(*read, **self._chosen(settings))
        measured = found if isinstance(found, Measured) else Measured([found])
        for one in measured.scores:
            if len(one.stats) != len(read[0]):
                raise InputError(
                    f"metric {self.name} returned {len(one.stats)} values for {len(read[0])} items; return one an item, None "
                    "where there is none"
                )
        return measured

    def join(self, shares: Sequence[Measured]) -> Measured:
        """What was found over all items, from what was found over each share of them, in their order."""
        first, *_ = shares
        scores = [
            replace(one, stats=np.concatenate([share.scores[number].stats for share in shares]), better=self.better)
            for number, one in enumerate(first.scores)
        ]
        counts, tallies = Counter[str](), Counter[str]()
        for share in shares:
            counts.update(share.counts)
            tallies.update(share.tallies)
        return self.conclude(replace(first, scores=scores, counts=dict(counts), tallies=tallies))

    def signature(self, settings: object) -> dict[str, Any]:
        """What makes the scores: library, version, options."""
        made: dict[str, Any] = {"metric": self.signed or self.name}
        if self.library is not None:
            made |= {"library": self.library, "version": importlib.metadata.version(self.library)}
        return made | self.describe(**self._chosen(settings))

    def lacks(self) -> list[str]:
        """The modules of the extra `models` that it needs and that are not installed."""
        return [name for name in self.models if importlib.util.find_spec(name) is None]

    def _chosen(self, settings: object) -> dict[str, Any]:
        return {name: getattr(settings, name) for name in self.options}


@functools.cache
def all_metrics() -> Mapping[str, Metric]:
    """Every metric by name. InputError for one that is not named as its file, by which profiles know it."""
    modules = [
        importlib.import_module(f"{metrics.__name__}.{module.name}")
        for module in pkgutil.iter_modules(metrics.__path__)
    ]
    found: dict[str, Metric] = {}
    for module in modules:
        if hasattr(module, "METRIC"):
            name = module.__name__.rpartition(".")[2]
            if module.METRIC.name != name:
                raise InputError(
                    f"{module.__file__}: METRIC is named {module.METRIC.name}; name it {name}, like its file"
                )
            found[name] = module.METRIC
    return found


def label(name: str) -> str:
    """A metric as tables call it, marked where lower is better; scores that are part of another go by their name."""
    return say_metric(name) + (" ↓" if is_lower_better(name) else "")


def say_metric(name: str) -> str:
    """A metric as a sentence calls it."""
    metric = all_metrics().get(name)
    return metric.label if metric else name


def is_lower_better(name: str) -> bool:
    """Whether less of a metric is better."""
    metric = all_metrics().get(name)
    return metric is not None and metric.better == "lower"
