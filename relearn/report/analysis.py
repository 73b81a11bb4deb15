"""The written analysis: what was gained, lost and brought back, in words that the intervals allow.

The original experiment's report was written by hand from a table without intervals. Here templates write it; a
template may use a number only through a filter that notes its place in a metrics file (`cells.Citations`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from relearn.escaping import fenced, inline, quoted
from relearn.report.cells import Cell, Citation, Citations, root_cell
from relearn.report.curve import say_limit
from relearn.report.verdicts import INTERVALS, TaskChanges, find_changes
from relearn.report.words import Words

PROBES = "metrics/probe_3b.json"
NO_LIMIT = (
    "A part of the change may be enough. Set `eval_3a.most_lost` to what each old skill may lose, and this report names the "
    "largest part that is proven to keep it."
)


@dataclass(frozen=True)
class Analysis:
    """`finding` is one sentence; `markdown` the whole text; the citations are each text's numbers in order.

    `changes` is what the texts are written from.
    """

    finding: str
    finding_citations: list[Citation]
    advice: list[str]
    markdown: str
    citations: list[Citation]
    changes: Mapping[str, TaskChanges]


@dataclass(frozen=True)
class ProbeCase:
    """A probe worth showing, with the models' answers."""

    cell: Cell
    models: Sequence[str]


def analyse(
    intervals: Mapping[str, Any], probes: Mapping[str, Any], words: Words, recommended: str | None = None
) -> Analysis:
    """The analysis of one run, from what eval_3a and probe_3b wrote; `recommended` is which method to train by
    (`report.recommend`), a point of the advice.
    """
    found = find_changes(intervals, words.tasks, words.roles)
    root = root_cell(PROBES, probes)
    facts: dict[str, Any] = {
        "tasks": found,
        "new": [task for task in found.values() if task.role == "new"],
        "old": [task for task in found.values() if task.role != "new"],
        "words": words,
        "roles": words.roles,
        "intervals": root_cell(INTERVALS, intervals),
        "probes": root,
        "best": _extreme(root, words, "best"),
        "worst": _extreme(root, words, "worst"),
    }
    finding, finding_citations = _render("finding.md.j2", facts)
    advice, _ = _render("advice.md.j2", facts)
    markdown, citations = _render("analysis.md.j2", facts)
    points = [line.removeprefix("- ") for line in advice.splitlines() if line.strip()]
    curve = intervals.get("curve")
    limit = None if curve is None else say_limit(curve, words)
    # what needs no training comes first, that no factor keeps enough last
    points[:0] = [point for point in (limit, recommended) if point is not None]
    if curve is not None and limit is None:
        points.append(NO_LIMIT)
    return Analysis(finding.strip(), finding_citations, points, markdown.strip() + "\n", citations, found)


def markdown_templates() -> Environment:
    """The package's templates that give Markdown; a page escapes what it takes from them."""
    return Environment(
        loader=PackageLoader("relearn.report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        keep_trailing_newline=True,
    )


def _render(name: str, facts: Mapping[str, Any]) -> tuple[str, list[Citation]]:
    citations = Citations()
    environment = markdown_templates()
    environment.filters |= citations.filters() | {"inline": inline, "quoted": quoted, "fenced": fenced}
    text = environment.get_template(name).render(**facts)
    return text, citations.made


def _extreme(root: Cell, words: Words, which: Literal["best", "worst"]) -> ProbeCase | None:
    """The probe that the tuned model answers most, or least, like base, among those whose answer by base passed its check.

    The best also passes under it and the worst fails; None where there is no such probe.
    """
    first, second = words.roles.base, words.roles.tuned
    fitting = [
        probe
        for probe in root["probes"]
        if probe.raw["models"][first]["passed"] and probe.raw["models"][second]["passed"] == (which == "best")
    ]
    if not fitting:
        return None
    choose = max if which == "best" else min
    chosen = choose(fitting, key=lambda probe: float(probe.raw["models"][second]["similarity_to_base"]))
    return ProbeCase(chosen, list(root.raw["passed"]))
