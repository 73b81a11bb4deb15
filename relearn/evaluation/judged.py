"""What judgements add up to: how often one model's answers win against another's, and how far to trust the judge.

Each pair of answers was judged in both orders. It is won where both orders name the same answer; everything else counts
one half: two ties, a tie and a win, two wins that contradict each other, and what cannot be read. A win rate is then
1/2 + (won - lost) / 2, a difference of two paired shares, and so is the preference for the first position; both have
Newcombe's interval over clusters, which has width also where nothing was won or lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from relearn.records import Judgement
from relearn.statistics import resampling
from relearn.statistics.resampling import Interval
from relearn.statistics.scores import Floats

if TYPE_CHECKING:
    from relearn.evaluation.models import Evaluation

JUDGE: Final = "judge"
ALIKE = 1.25  # answers count as about as long up to this ratio
MOST_UNREADABLE = 0.05  # share of the judgements above which a reader is warned

Figure = dict[str, float | int | None]


@dataclass(frozen=True)
class JudgedPair:
    """Two answers judged in both orders: `forward` showed that of `before` first, `backward` that of `after`."""

    before: str
    after: str
    forward: Judgement
    backward: Judgement

    @property
    def id(self) -> str:
        return self.forward.id

    @property
    def task(self) -> str:
        return self.forward.task

    @property
    def cluster(self) -> str:
        return f"{self.task}/{self.forward.group}"

    @property
    def judgements(self) -> tuple[Judgement, Judgement]:
        return self.forward, self.backward

    @property
    def asked(self) -> bool:
        """Whether the judge saw it; nobody is asked about two equal answers."""
        return self.forward.request is not None

    @property
    def outcome(self) -> int:
        """1 where both orders name the answer of `after`, -1 where both name that of `before`, else 0."""
        named = self.forward.better, self.backward.better
        return {("second", "first"): 1, ("first", "second"): -1}.get((named[0] or "", named[1] or ""), 0)

    @property
    def readable(self) -> bool:
        return None not in (self.forward.better, self.backward.better)

    @property
    def consistent(self) -> bool:
        """Whether both orders gave the same verdict: the same answer, or a tie twice."""
        return self.outcome != 0 or self.forward.better == self.backward.better == "tie"

    @property
    def length(self) -> str:
        """Whether the answer of `after` is the longer one, the shorter one, or about as long."""
        ratio = (1 + self.forward.second_chars) / (1 + self.forward.first_chars)
        return "longer" if ratio > ALIKE else "shorter" if ratio < 1 / ALIKE else "alike"


def join_orders(judgements: Iterable[Judgement], models: Sequence[tuple[str, str]]) -> list[JudgedPair]:
    """The judged pairs of each two of `models`, (before, after), in the order of the judgements."""
    orders: dict[tuple[str, str, str, str], Judgement] = {}
    for judgement in judgements:
        orders[judgement.task, judgement.id, judgement.first, judgement.second] = judgement
    return [
        JudgedPair(before, after, judgement, orders[task, item, after, before])
        for (task, item, before, after), judgement in orders.items()
        if (before, after) in models
    ]


def measure(pairs: Sequence[JudgedPair], models: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Win rates of each two of `models` with intervals, and the figures on the judge itself, as plain values.

    `wins` has an entry for each (before, after): the win rate of `after`, over all tasks, by task, and by whether its
    answer is the longer one. The judge's figures are over the pairs that it was asked about: `consistency`, the share of
    pairs with the same verdict in both orders; `first_preference`, the share of decided judgements that name the answer
    shown first, less 1/2; `ties`, the share of readable judgements that say so; `longer_wins`, the win rate of the
    longer of two answers that differ in length.
    """
    asked = [pair for pair in pairs if pair.asked]
    judgements = [judgement for pair in asked for judgement in pair.judgements]
    unreadable = Counter(judgement.reason for judgement in judgements if judgement.better is None)
    longer = [pair for pair in asked if pair.length != "alike"]
    found: dict[str, Any] = {
        "pairs": len(pairs),
        "asked": len(asked),
        "judgements": len(judgements),
        "unreadable": dict(sorted(unreadable.items())),
        "consistency": _share(asked, lambda pair: (pair.consistent, pair.readable)),
        "first_preference": first_preference(asked),
        "ties": _share(
            asked,
            lambda pair: (
                sum(judgement.better == "tie" for judgement in pair.judgements),
                sum(judgement.better is not None for judgement in pair.judgements),
            ),
        ),
        "longer_wins": win_rate(longer, lambda pair: pair.outcome * (1 if pair.length == "longer" else -1)),
        "wins": [
            _wins(before, after, [pair for pair in pairs if (pair.before, pair.after) == (before, after)])
            for before, after in models
            if any((pair.before, pair.after) == (before, after) for pair in pairs)
        ],
    }
    lost = sum(unreadable.values())
    found["warnings"] = (
        [f"{lost} of {len(judgements)} judgements cannot be read ({lost / len(judgements):.0%}) and count as one half"]
        if lost > MOST_UNREADABLE * len(judgements)
        else []
    )
    return found


def join(
    found: Evaluation, pairs: Sequence[JudgedPair], models: Sequence[tuple[str, str]], people: Mapping[str, Any] | None
) -> None:
    """Adds `judge` to the intervals, with `people` as how far people agree, and the win rates to the points.

    `over_<model>` is the win rate over that model. Changes `found`, by nothing where nothing was judged.
    """
    if not pairs:
        return
    measured = measure(pairs, models)
    found.intervals[JUDGE] = {**measured, "people": people}
    found.warnings.extend(f"judge: {warning}" for warning in measured["warnings"])
    for won in measured["wins"]:
        if won["after"] in found.points:
            found.points[won["after"]].setdefault(JUDGE, {})[f"over_{won['before']}"] = won["value"]


def _wins(before: str, after: str, pairs: Sequence[JudgedPair]) -> dict[str, Any]:
    """The win rate of `after`, and what it is made of."""
    by_task = {task: [pair for pair in pairs if pair.task == task] for task in dict.fromkeys(p.task for p in pairs)}
    by_length = {name: [pair for pair in pairs if pair.length == name] for name in ("shorter", "alike", "longer")}
    return {
        "before": before,
        "after": after,
        **win_rate(pairs),
        "clusters": len({pair.cluster for pair in pairs}),
        "won": sum(pair.outcome > 0 for pair in pairs),
        "lost": sum(pair.outcome < 0 for pair in pairs),
        "equal": sum(not pair.asked for pair in pairs),
        "unreadable": sum(not pair.readable for pair in pairs),
        "by_task": {task: win_rate(own) for task, own in by_task.items()},
        "by_length": {name: win_rate(own) for name, own in by_length.items()},
    }


def win_rate(pairs: Sequence[JudgedPair], outcome: Callable[[JudgedPair], int] = lambda pair: pair.outcome) -> Figure:
    """1/2 + (won - lost) / 2 over pairs, 0 to 1."""
    won, lost = (_sums(pairs, lambda pair, side=side: (outcome(pair) == side, 1)) for side in (1, -1))  # type: ignore[misc]
    return _figure(won, lost, 0.5, len(pairs))


def first_preference(pairs: Sequence[JudgedPair]) -> Figure:
    """The share of decided judgements that name the first answer, less 1/2.

    A pair of which each order names the first answer speaks for a preference, one of which neither does against it;
    one that names the same answer twice for none.
    """

    def lean(pair: JudgedPair, side: int) -> tuple[int, int]:
        named = [judgement.better for judgement in pair.judgements if judgement.better in ("first", "second")]
        return max(0, side * (named.count("first") - named.count("second"))), len(named)

    for_first, against = (_sums(pairs, lambda pair, side=side: lean(pair, side)) for side in (1, -1))  # type: ignore[misc]
    return _figure(for_first, against, 0.0, int(for_first[:, 1].sum()))


def _figure(up: Floats, down: Floats, middle: float, number: int) -> Figure:
    """`middle` and half of the difference of two shares over the same clusters."""
    if not up[:, 1].sum():
        return {"value": None, "low": None, "high": None, "number": 0}
    ends = resampling.newcombe(down, up)
    value = resampling.share(up) - resampling.share(down)
    return _plain(middle + value / 2, Interval(middle + ends.low / 2, middle + ends.high / 2), number)


def _share(pairs: Sequence[JudgedPair], count: Callable[[JudgedPair], tuple[int, int]]) -> Figure:
    sums = _sums(pairs, count)
    if not sums[:, 1].sum():
        return {"value": None, "low": None, "high": None, "number": 0}
    return _plain(resampling.share(sums), resampling.wilson(sums), int(sums[:, 1].sum()))


def _sums(pairs: Sequence[JudgedPair], count: Callable[[JudgedPair], tuple[int, int]]) -> Floats:
    """(clusters, 2): hits and what they are hits of."""
    numbers, clusters = resampling.number_clusters([pair.cluster for pair in pairs])
    stats = np.array([count(pair) for pair in pairs], dtype=float).reshape(-1, 2)
    return resampling.cluster_sums(stats, numbers, clusters)


def _plain(value: float, ends: Interval, number: int) -> Figure:
    return {
        "value": round(value, 4) + 0.0, "low": round(ends.low, 4) + 0.0, "high": round(ends.high, 4) + 0.0,
        "number": number,
    }  # fmt: skip


def preferences(pairs: Sequence[JudgedPair]) -> Mapping[tuple[str, str, str], int]:
    """(prompt, before, after) → 1 where the judge prefers the answer of `after`, -1 that of `before`, 0 neither."""
    return {(pair.id, pair.before, pair.after): pair.outcome for pair in pairs if pair.readable and pair.asked}
