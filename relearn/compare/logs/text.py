"""The comparison as Markdown that fits a pull request, as a table for the terminal, and as JUnit XML.

Names and messages come from logs, so a model may have written them: they are code spans and fenced blocks, where
nothing is a mention, a link or markup, and the whole stays well under the mebibyte that GitHub shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree import ElementTree

from tabulate import tabulate

from relearn.compare.logs.changes import MetricChange
from relearn.compare.logs.gates import Ruling
from relearn.compare.logs.result import Compared, Result, in_words
from relearn.escaping import fenced, shown

ROWS, NOTES, NOTE = 400, 200, 400  # of a table; notes; characters of one
LARGEST = 1_000_000  # bytes, under GitHub's 1 MiB
SAID = {"within": "holds", "worse": "fails", "undecided": "undecided", "unjudged": "cannot be judged"}
HEADS = (
    "task",
    "metric",
    "n",
    "before",
    "after",
    "change [95% interval]",
    "lost",
    "gained",
    "p",
    "p (Holm)",
    "in words",
)


def markdown(result: Result) -> str:
    """The whole summary."""
    parts = [f"## relearn: {result.finding}\n"]
    if result.rulings:
        parts.append(
            "\n".join(_gate_line(ruling) for ruling in result.rulings[:ROWS])
            + _more(len(result.rulings), ROWS, "gates")
            + "\n"
        )
    for one in result.comparisons:
        parts.append(f"### {one.before} to {one.after}\n\n{_tables(one)}")
    parts.append(_explanation(result))
    if result.notes:
        shown_notes = "\n".join(f"- {_cut(note)}" for note in result.notes[:NOTES]) + _more(
            len(result.notes), NOTES, "notes"
        )
        parts.append(
            f"<details open><summary>{len(result.notes)} warnings and notes</summary>\n\n{fenced(shown_notes)}\n\n</details>\n"
        )
    text = "\n".join(parts)
    if len(text.encode("utf-8", "replace")) > LARGEST:
        return f"## relearn: {result.finding}\n\nThe tables are too large to show here; comparison.json and compare.html hold all.\n"
    return text


def _gate_line(ruling: Ruling) -> str:
    reason = code_span(ruling.reason, 600)
    return f"- **{SAID[ruling.answer]}**: {code_span(ruling.gate)} on {code_span(ruling.task)}: {reason}"


def _tables(one: Compared) -> str:
    telling = [change for change in one.changes if change.changed or change.differ or change.kind != "task"]
    rest = [change for change in one.changes if not any(change is other for other in telling)]
    parts = []
    if telling:
        parts.append(_table(telling) + "\n")
    if rest:
        opened = "" if telling else " open"
        parts.append(
            f"<details{opened}><summary>{len(rest)} with no difference shown</summary>\n\n{_table(rest)}\n\n</details>\n"
        )
    if one.skipped:
        listed = "\n".join(f"- {_cut(name)}: {_cut(why)}" for name, why in list(one.skipped.items())[:NOTES]) + _more(
            len(one.skipped), NOTES, "metrics"
        )
        parts.append(
            f"<details><summary>{len(one.skipped)} metrics skipped</summary>\n\n{fenced(listed)}\n\n</details>\n"
        )
    return "\n".join(parts)


def _table(changes: Sequence[MetricChange]) -> str:
    rows = [cells(change, code_span) for change in changes[:ROWS]]
    return tabulate(rows, HEADS, tablefmt="pipe", disable_numparse=True) + _more(len(changes), ROWS, "rows")


def _more(number: int, limit: int, what: str) -> str:
    return f"\n\n… and {number - limit:,} more {what}, in comparison.json" if number > limit else ""


def _cut(text: str) -> str:
    flat = " ".join(shown(text).split())
    return flat if len(flat) <= NOTE else flat[: NOTE - 1] + "…"


def cells(change: MetricChange, name: object = str) -> list[str]:
    """A row of HEADS; `name` escapes what a log says."""
    mark = {"group": " (group)", "total": ""}.get(change.kind, "")
    escape = name if callable(name) else str
    p = f"{_p(change.p)}" + ("" if math.isnan(change.p_clusters) else f" ({_p(change.p_clusters)})")
    return [
        str(escape(change.task)) + mark,
        str(escape(change.metric)) + (" ↓" if change.better == "lower" else ""),
        f"{change.samples:,}" + (f" in {change.clusters:,}" if change.clusters < change.samples else ""),
        number(change.before),
        number(change.after),
        f"{change.difference:+.3g} [{change.low:+.3g}, {change.high:+.3g}]" + ("*" if change.exact_ends else ""),
        f"{change.worse:,}",
        f"{change.better_samples:,}",
        p,
        "–" if math.isnan(change.p_holm) else _p(change.p_holm),
        in_words(change),
    ]


def number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4g}" if abs(value) >= 10 else f"{value:.3f}"


def _p(value: float) -> str:
    return "–" if math.isnan(value) else "<0.001" if value < 0.001 else f"{value:.3f}"


def _explanation(result: Result) -> str:
    clustered = any(change.clusters < change.samples for change in result.comparisons[0].changes)
    parts = [
        "Lost and gained: samples that became worse and better. p: exact (McNemar's test of right and wrong, else the sign test)"
        + (", in brackets that of swapping whole clusters, which counts" if clustered else "")
        + "; Holm's correction covers the tasks' first-named metrics, groups and the total are one comparison each, other "
        "metrics are unadjusted. Intervals: bootstrap over " + ("clusters" if clustered else "samples") + "."
    ]
    if any(change.exact_ends for one in result.comparisons for change in one.changes):
        parts.append("* no spread to resample: the interval that a gate uses, which is never empty.")
    if clustered and min(change.clusters for change in result.comparisons[0].changes) < 30:
        parts.append("Over fewer than 30 clusters, resampled intervals are too narrow; gates use wider ones.")
    return " ".join(parts) + "\n"


def code_span(text: str, longest: int = 120) -> str:
    """The text as code within a line of Markdown, a table's cell too: code has no mention, link, issue or markup."""
    flat = " ".join(shown(text).split())
    flat = (flat if len(flat) <= longest else flat[: longest - 1] + "…").replace("`", "´").replace("|", "\\|")
    return f"`{flat or ' '}`"


def terminal(result: Result) -> str:
    """Tables without markup, for a screen."""
    parts = [
        f"{one.before} to {one.after}\n"
        + tabulate(
            [cells(change, _cut) for change in one.changes[:ROWS]], HEADS, tablefmt="simple", disable_numparse=True
        )
        + _more(len(one.changes), ROWS, "rows")
        + _skipped(one)
        for one in result.comparisons
    ]
    parts.append(_explanation(result))
    return "\n\n".join([*parts, result.finding])


def _skipped(one: Compared) -> str:
    lines = [f"\nnot compared: {_cut(name)}: {_cut(why)}" for name, why in list(one.skipped.items())[:NOTES]]
    return ("\n" if lines else "") + "".join(lines) + _more(len(one.skipped), NOTES, "metrics")


def junit(result: Result) -> str:
    """A test a gate: a failure where it fails or is undecided, an error where it cannot be judged."""
    bad = [ruling for ruling in result.rulings if ruling.answer in ("worse", "undecided")]
    errors = [ruling for ruling in result.rulings if ruling.answer == "unjudged"]
    counts = {"tests": str(len(result.rulings)), "failures": str(len(bad)), "errors": str(len(errors))}
    top = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(top, "testsuite", {"name": "relearn gates", **counts})
    for ruling in result.rulings:
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": _cut(f"{ruling.task}.{ruling.metric}"), "name": _cut(ruling.gate)}
        )
        if ruling.answer != "within":
            kind = "error" if ruling.answer == "unjudged" else "failure"
            ElementTree.SubElement(case, kind, {"type": ruling.answer, "message": _cut(ruling.reason)})
        else:
            ElementTree.SubElement(case, "system-out").text = _cut(ruling.reason)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(top, encoding="unicode") + "\n"
