"""A suite of skills in tables and Markdown: the share of each skill under each model, what changed, and the answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tabulate import tabulate

from relearn.escaping import fenced, inline, quoted
from relearn.statistics.significance import LEVEL

NOTE: Final = (
    "Shares of items that pass their checks, with 95% intervals over clusters. Look first at the test of the mean over skills, "
    "in which every skill has the same weight; tests of single skills carry Holm's correction. Skills that no model here can "
    "do are left out of the mean."
)


def describe(found: Mapping[str, Any]) -> str:
    """Markdown: the table by skill, a line a comparison of the mean, and what was lost and gained in each skill."""
    models, average = found["models"], found["mean"]
    body = []
    for name, about, items, *cells in list_rows(found):
        # The mean has no name.
        body.append([f"{inline(about)} (`{name}`)" if name else f"**{about}**", items, *cells])
    heads = ["skill", "items", *map(inline, models)]
    parts = [tabulate(body, heads, tablefmt="github", disable_numparse=True), ""]
    for at, one in enumerate(average["comparisons"] if average is not None else ()):
        parts += [
            f"### From {inline(one['before'])} to {inline(one['after'])}",
            "",
            _sentence(one, average["skills"]),
            "",
        ]
        rows = [
            _line(name, skill["comparisons"][at], skill["flips"])
            for name, skill in found["skills"].items()
            if skill["status"] == "measured"
        ]
        heads = ["skill", "change", "95% interval", "of what was there", "lost", "gained", "p (Holm)", "in words"]
        parts += [tabulate(rows, heads, tablefmt="github", disable_numparse=True), ""]
    parts += [f"- `{name}`: {why}." for name, why in list_obstacles(found)]
    flipped = "Lost and gained: items that passed before and not after, and the reverse."
    return "\n".join([*parts, "", f"{NOTE} {flipped}", ""])


def list_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """A row a skill: its name, what it is, how many items, and under each model the share that passed, `50% [5%, 95%] ▼`,
    marked where it differs significantly from the model it is compared with. Last the mean, without a name.
    """
    rows = []
    for name, skill in found["skills"].items():
        cells = _cells(found["models"], skill) if "models" in skill else [skill["status"]] * len(found["models"])
        rows.append([name, skill["about"], str(skill["items"]), *cells])
    average = found["mean"]
    if average is not None:
        rows.append(["", f"mean over {average['skills']} skills", "", *_cells(found["models"], average)])
    return rows


def list_obstacles(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, why) of each skill that is not measured."""
    return [
        (name, f"{skill['status']}: {skill['reason']}")
        for name, skill in found["skills"].items()
        if skill["status"] != "measured"
    ]


def _cells(models: Sequence[str], of: Mapping[str, Any]) -> list[str]:
    marks = {}
    for one in of.get("comparisons", []):
        if one["p_holm"] is not None and one["p_holm"] <= LEVEL:
            marks[one["after"]] = " ▲" if _change(one)[0] > 0 else " ▼"
    return [_share(of["models"][model]) + marks.get(model, "") for model in models]


def _share(value: Mapping[str, Any]) -> str:
    ends = "" if value["low"] is None else f" [{value['low']:.0%}, {value['high']:.0%}]"
    return f"{value['value']:.0%}{ends}"


def _sentence(one: Mapping[str, Any], skills: int) -> str:
    """What the primary test says."""
    change, (low, high) = _change(one)
    sure = one["p"] is not None and one["p"] <= LEVEL
    less = f"; a change of {100 * one['detectable']:.1f} points would have shown" if one["detectable"] else ""
    verdict = ("a gain" if change > 0 else "a loss") if sure else f"no difference shown{less}"
    return (
        f"Mean over {skills} skills: {100 * change:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}], "
        f"{_p(one['p'])}: {verdict}."
    )


def _change(one: Mapping[str, Any]) -> tuple[float, tuple[float, float]]:
    """Above 0 is better, whatever the comparison is of."""
    turn = -1 if one["kind"] == "forgetting" else 1
    ends = [math.nan if end is None else turn * end for end in (one["low"], one["high"])]
    return turn * one["value"] + 0.0, (min(ends), max(ends))


def _p(p: float | None) -> str:
    return "p unknown" if p is None else "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _line(name: str, one: Mapping[str, Any], flips: Mapping[str, Any]) -> list[str]:
    change, (low, high) = _change(one)
    flipped = flips[f"{one['before']} to {one['after']}"]
    if one["p_holm"] is not None and one["p_holm"] <= LEVEL:
        words = "gained" if change > 0 else "lost"
    else:
        words = "no difference shown"
        words += f"; one of {100 * one['detectable']:.0f} points would have shown" if one["detectable"] else ""
    relative = "–"
    if one["ratio"] is not None and math.isfinite(one["ratio"]):
        relative = f"{-one['ratio']:+.0%}" if one["kind"] == "forgetting" else f"{one['ratio']:.0%} came back"
    return [
        f"`{name}`", f"{100 * change:+.0f}", f"[{100 * low:+.0f}, {100 * high:+.0f}]", relative, str(flipped["lost"]),
        str(flipped["gained"]), "–" if one["p_holm"] is None else _p(one["p_holm"]).removeprefix("p ").removeprefix("= "), words,
    ]  # fmt: skip


def show_answers(found: Mapping[str, Any]) -> str:
    """Markdown: every item with the answers side by side, a fold a skill; those on which the models differ come first."""
    parts = []
    for name, skill in found["skills"].items():
        own = [one for one in found["answers"] if one["skill"] == name]
        differ = [one for one in own if len({answer["passed"] for answer in one["models"].values()}) > 1]
        parts += [f"<details><summary>{inline(skill['about'])}: {len(differ)} of {len(own)} items differ</summary>", ""]
        for one in [*differ, *(one for one in own if one not in differ)]:
            parts += [f"#### {inline(one['id'])}", "", quoted(one["instruction"]), ""]
            for model, answer in one["models"].items():
                parts += [f"**{inline(model)}** ({_mark(answer)})", "", fenced(answer["output"]), ""]
        parts += ["</details>", ""]
    return "\n".join(parts)


def _mark(answer: Mapping[str, Any]) -> str:
    if answer["passed"] is None:
        return "not measured"
    return "✓" if answer["passed"] else f"✗ {inline(answer['reason'])}"
