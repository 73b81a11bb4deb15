"""Which method to train by, from what `stages.frontier` found of several, for the report's advice.

Reads its JSON, and imports nothing of the evaluation that found it: a change there is no reason to write the report again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from relearn.report.curve import EXPORT, write_ends
from relearn.report.words import Words, join
from relearn.statistics.significance import LEVEL


def recommend(found: Mapping[str, Any] | None, most_lost: float | None, words: Words) -> str:
    """What to train instead of this run, by what was measured: `found` is as `stages.frontier` writes it, None for nothing.

    With a limit, a share of base's bits per byte, the method that takes the least time of those whose intervals are within it
    for every old skill; without one, of those that lose significantly less than plain somewhere and significantly more
    nowhere, the one that loses least.
    """
    if found is None:
        return "`make remedies` trains by several methods that forget less, compares them at equal new skill, and this list then names one of them."
    methods = [one for one in found["methods"] if all(factor is not None for factor in one["factors"].values())]
    first = found["methods"][0]
    compared = f"the {len(found['methods'])} methods that `make remedies` compared"
    level = f"at equal new skill ({found['share']:.0%} of what {first['method']} training gains)"
    if most_lost is not None:
        kept = [one for one in methods if all(_is_within(loss, most_lost) for loss in one["losses"])]
        if not kept:
            return f"None of {compared} is proven to keep every old skill within {most_lost:.1%} {level}."
        best = min(kept, key=lambda one: (one["time"] or math.inf, sum(loss["lost"] for loss in one["losses"])))
        why = f"takes the least time of those proven to keep every old skill within {most_lost:.1%} {level}"
        losses = [f"{_as_share(loss)} in {words.label(loss['task'])}" for loss in best["losses"]]
        change = f"Bits per byte change by {join(losses)}."
    else:
        kept = [one for one in methods if _is_better(one["losses"])]
        if not kept:
            return f"None of {compared} loses significantly less than {first['method']} training {level}."
        best = min(kept, key=lambda one: sum(loss["more"] for loss in one["losses"]))
        why = f"loses least {level}"
        losses = [f"{_more(loss)} in {words.label(loss['task'])}" for loss in best["losses"]]
        change = f"Its loss differs from that of {first['method']} training by {join(losses)}, in bits per byte."
    time = "" if best["time"] is None or best is first else f" Training takes {best['time']:.2f} times as long."
    # of the main seed, which the command trains; where the method was chosen by it, the loss is of the others
    factors = [*best.get("chosen_by", {}).values(), *best["factors"].values()]
    factor = next(one for one in factors if one is not None)
    return (
        f"Of {compared}, `{best['method']}` {why}. {change}{time} `{best['command']}` trains it; "
        f"`{EXPORT.format(factor=f'{factor:.2f}')}` then writes it with {factor:.0%} of its change."
    )


def _is_within(loss: Mapping[str, Any], most_lost: float) -> bool:
    return loss["high"] is not None and loss["high"] <= most_lost * loss["base"]


def _is_better(losses: Sequence[Mapping[str, Any]]) -> bool:
    sure = [loss["more"] for loss in losses if loss["p_holm"] is not None and loss["p_holm"] <= LEVEL]
    return bool(sure) and max(sure) < 0


def _as_share(loss: Mapping[str, Any]) -> str:
    low, high = (None if loss[end] is None else loss[end] / loss["base"] for end in ("low", "high"))
    return f"{loss['lost'] / loss['base']:+.1%}{write_ends(low, high, '+.1%')}"


def _more(loss: Mapping[str, Any]) -> str:
    return f"{loss['more']:+.3f}{write_ends(loss['more_low'], loss['more_high'], '+.3f')}"
