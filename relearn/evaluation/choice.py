"""Which methods are worth further training seeds, by the losses on validation rows that training watches.

A method that was picked out of several by what it did under one seed looks better than it is. So no test row takes
part in the choice, and the claims about a chosen method rest on other seeds (`equal_skill`).

The order is by what is lost for what is gained: the mean rise of the old tasks' losses over the mean fall of the new
tasks'. To first order both grow with λ, the factor of the change, so that this is the order of what is lost at equal
new skill, and a method that learns little is not taken for a gentle one. The old tasks' rises are averaged as they
are, and not as shares of plain's: where plain hardly loses a task, such a share would be noise.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from relearn.errors import InputError
from relearn.evaluation.equal_skill import SHARE

Look = Mapping[str, float | None]


@dataclass(frozen=True)
class Trade:
    """What training did to the losses on validation rows, from its first look to its last, in nats a token."""

    gained: float
    lost: float

    @property
    def price(self) -> float:
        """What is lost for each nat gained."""
        return self.lost / self.gained


def measure_trade(looks: Sequence[Look], new: Collection[str], old: Collection[str], where: str) -> Trade:
    """The mean fall over the new tasks and the mean rise over the old ones. `looks` hold a loss a task, the first before
    any update. InputError, naming `where`, without validation rows of both.
    """

    def rise(tasks: Collection[str]) -> float:
        seen = [[value for look in looks if (value := look.get(task)) is not None] for task in tasks]
        rises = [values[-1] - values[0] for values in seen if values]
        if not rises:
            raise InputError(
                f"{where}: no losses of {', '.join(tasks) or 'such tasks'}; methods are chosen on validation rows of a "
                "new task and of an old one (prepare.<task>.val)"
            )
        return fmean(rises)

    return Trade(-rise(new), rise(old))


def choose_methods(trades: Mapping[str, Trade], plain: str, number: int) -> list[str]:
    """At most `number` methods other than `plain`, those that lose least for what they gain first.

    A method that gains less than `SHARE` of what plain does is left out: it could be compared with plain beyond λ = 1 at
    best, where no validation row has been looked at and a gain grows by less than in proportion. None is chosen where
    plain gains or loses nothing.
    """
    if not has_forgotten(trades[plain]):
        return []
    target = SHARE * trades[plain].gained
    able = [name for name, one in trades.items() if name != plain and one.gained >= target]
    return sorted(able, key=lambda name: trades[name].price)[:number]


def has_forgotten(plain: Trade) -> bool:
    """Whether plain training learned new tasks at the cost of old ones, so that there is something to remedy."""
    return plain.gained > 0 and plain.lost > 0
