"""What a judge's verdicts add up to, in tables and pages: the win rates, and how far to trust the judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tabulate import tabulate

from relearn.escaping import inline

HEADS: Final = ("pair", "win rate", "won, lost, neither", "shorter", "about as long", "longer")
NOTE: Final = (
    "Win rate: how often the later model's answer is better; one half is no difference. An answer wins where the judge names it "
    "in both orders; everything else, a tie and a win included, counts as one half. Shorter to longer: the win rate where the "
    "later model's answer has that length. Brackets: 95% intervals over clusters."
)


def list_rows(judge: Mapping[str, Any]) -> list[list[str]]:
    """A row a pair of models under HEADS, then one for each of its tasks where there are several."""
    rows = []
    for won in judge["wins"]:
        name = f"{won['after']} over {won['before']}"
        neither = won["number"] - won["won"] - won["lost"]
        lengths = [show_figure(won["by_length"][length]) for length in ("shorter", "alike", "longer")]
        rows.append([name, show_figure(won), f"{won['won']}, {won['lost']}, {neither}", *lengths])
        if len(won["by_task"]) > 1:
            rows += [
                [f"{name}, {task}", show_figure(figure), "", "", "", ""] for task, figure in won["by_task"].items()
            ]
    return rows


def show_figure(figure: Mapping[str, Any], signed: bool = False) -> str:
    """`0.613 [0.541, 0.680]`, or a dash."""
    if figure["value"] is None:
        return "–"
    value, low, high = (f"{figure[end]:+.3f}" if signed else f"{figure[end]:.3f}" for end in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def describe_judge(judge: Mapping[str, Any]) -> list[str]:
    """Sentences on the judge itself."""
    unreadable = sum(judge["unreadable"].values())
    reasons = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in judge["unreadable"].items())
    found = [
        f"{judge['pairs']} pairs of answers, {judge['pairs'] - judge['asked']} of them equal texts, not sent to the judge; "
        f"{judge['judgements']} judgements, {unreadable} of them unreadable{f' ({reasons})' if reasons else ''}.",
        f"The judge's verdict was the same in both orders for {show_figure(judge['consistency'])} of the pairs. It named the "
        f"answer shown first {show_figure(judge['first_preference'], signed=True)} more often than half of the times it "
        f"decided, and called {show_figure(judge['ties'])} of its verdicts a tie. Of two answers of different lengths, the longer "
        f"one's win rate is {show_figure(judge['longer_wins'])}.",
        *(f"Warning: {warning}." for warning in judge["warnings"]),
    ]
    people = judge.get("people")
    if people is not None:
        found.append(
            f"Judge and people, on {people['pairs']} pairs rated by {people['raters']}: {_show_alpha(people)}; "
            f"people with each other: {_show_alpha(people['people'])}."
        )
    return found


def _show_alpha(found: Mapping[str, Any]) -> str:
    if found["alpha"] is None:
        return "no α: too few judged the same pairs, or all say the same"
    ends = f" [{found['low']:.2f}, {found['high']:.2f}]" if found["low"] is not None else ""
    return f"Krippendorff's α {found['alpha']:.2f}{ends}"


def markdown(judge: Mapping[str, Any] | None, level: int = 3) -> str:
    """The section for tables in Markdown; empty where nothing was judged."""
    if judge is None:
        return ""
    rows = [[inline(name), *rest] for name, *rest in list_rows(judge)]
    table = tabulate(rows, HEADS, tablefmt="github", disable_numparse=True)
    lines = "\n\n".join(inline(line) for line in (*describe_judge(judge), NOTE))
    return f"\n{'#' * level} judge: which of two answers is better\n\n{table}\n\n{lines}\n"
