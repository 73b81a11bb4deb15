"""The page people look at: one self-contained HTML file, from the files that the stages wrote.

Every value goes through Jinja2's autoescape; a content security policy lets nothing load and runs no script but
the page's own, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from relearn.escaping import shown
from relearn.evaluation import skill_table
from relearn.evaluation.roles import ScoredTask, axis_tasks
from relearn.records import Quarantined, SampledRow
from relearn.report import curve, figures, judgements, marks, table, verdicts, words
from relearn.report.analysis import Analysis
from relearn.report.cells import format_number
from relearn.report.figures import Stream
from relearn.report.words import Words


@dataclass(frozen=True)
class Material:
    """Everything the page shows. JSON documents as the stages wrote them; `rows` are the 3a table's CSV rows.

    `losses` maps a round to the rows of its CSV. `facts` are lists of (name, value) for the page's end: parameters,
    versions, models, data. `setting` are sentences that say what kind of experiment the finding is about. `mended` are
    (what was repaired, what the teacher sent, the row's kind, what was kept). `samples` are what the base wrote for a
    method that holds the model to it. `suites` are the suites of skills by task, as `measure_skills` gives them.
    """

    words: Words
    intervals: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    probes: Mapping[str, Any]
    ngram: int
    losses: Mapping[str, Sequence[Mapping[str, float | None]]]
    repair: Mapping[str, Any]
    generate: Mapping[str, Any]
    mended: Sequence[tuple[str, str, str, str]]
    refused: Sequence[Quarantined]
    as_sent: int
    samples: Sequence[SampledRow] = ()
    suites: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    setting: Sequence[str] = ()


def environment() -> Environment:
    """Templates with autoescape on, whatever their name."""
    made = Environment(
        loader=PackageLoader("relearn.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "join": words.join,
        "number_word": words.number,
        "inline": lambda name: Markup(read_template(name)),
        "policy": policy,
    }
    made.filters |= {"shown": shown, "score": _score, "code": _code, "cell": _show_cell}
    made.filters["percent"] = lambda share: format_number("share", share)
    return made


def read_template(name: str) -> str:
    """A file of the templates folder as it is: the project's own style sheet or script."""
    return files("relearn.report").joinpath("templates", name).read_text(encoding="utf-8")


def render(material: Material, analysis: Analysis) -> str:
    """The page's HTML."""
    roles = material.words.roles
    tasks = list(material.intervals["tasks"])
    old, new = axis_tasks([task for task in material.words.tasks if task.name in analysis.changes])
    axes = [*old, *new] if old and new else []
    found = material.intervals.get("curve")
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            material=material,
            analysis=analysis,
            words=material.words,
            roles=roles,
            models=[model for model in roles.names if any(row["model"] == model for row in material.rows)],
            tasks=tasks,
            table=_table(material.rows),
            metrics=list(dict.fromkeys(row["metric"] for row in material.rows)),
            learn_forget=_learn_forget(material, analysis.changes, old, new) if axes else None,
            not_drawn=[task for task in tasks if task not in [one.name for one in axes]],
            losses=Markup(
                figures.draw_losses(material.losses, tasks, {model: roles.part(model) for model in material.losses})
            ),
            flow=_flow(material),
            drift=table.list_drift(material.intervals),
            drift_text=table.DRIFT,
            table_cell=table.cell,
            warned=_list_warned(material.intervals["warnings"]),
            skill_table=skill_table,
            skill_rows=_list_measured,
            pieces=marks.mark_pieces,
            curve=None if found is None else curve.list_parts(found, material.words),
            cut_shares=lambda task: table.cut_shares(task, material.intervals),
            judge=material.intervals.get("judge"),
            judgements=judgements,
            scripts=[read_template("filter.js")],
        )
    )


def render_curve(found: Mapping[str, Any], words: Words, command: str) -> str:
    """A page of the learn-forget curve alone; `command` as `curve.say_limit` has it."""
    parts = curve.list_parts(found, words, command)
    return environment().get_template("curve.html.j2").render(**parts, scripts=[])


def _table(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Mapping[str, Any]]]]:
    """task → metric → model → row."""
    table: dict[str, dict[str, dict[str, Mapping[str, Any]]]] = {}
    for row in rows:
        table.setdefault(row["task"], {}).setdefault(row["metric"], {})[row["model"]] = row
    return table


def _learn_forget(
    material: Material, changes: Mapping[str, verdicts.TaskChanges], old: list[ScoredTask], new: list[ScoredTask]
) -> Markup:
    """The mean headline of the old tasks against that of the new ones."""
    scores = material.intervals["tasks"]
    spots = []
    for model in scores[old[0].name]["scores"][changes[old[0].name].headline]:
        (x, across), (y, up) = (_mean_headline(scores, changes, tasks, model) for tasks in (old, new))
        spots.append(figures.Spot(model, material.words.roles.part(model), x, across, y, up))
    x_label, y_label = (_axis_label(material.words, changes, tasks) for tasks in (old, new))
    return Markup(figures.draw_learn_forget(spots, f"old skill: {x_label}", f"new skill: {y_label}"))


def _mean_headline(
    scores: Mapping[str, Any], changes: Mapping[str, verdicts.TaskChanges], tasks: Sequence[ScoredTask], model: str
) -> tuple[float, tuple[float, float] | None]:
    """The mean of the tasks' headlines, higher being better, and its interval.

    The tasks' samples are independent, so the squares of the intervals' arms add up (Zou & Donner 2008).
    """
    values: list[float] = []
    arms: list[tuple[float, float]] = []
    for task in tasks:
        found = changes[task.name]
        score = scores[task.name]["scores"][found.headline][model]
        value, low, high = score["value"], score["low"], score["high"]
        values.append(-value if found.lost.lower_is_better else value)
        if low is not None and high is not None:
            below, above = value - low, high - value
            arms.append((above, below) if found.lost.lower_is_better else (below, above))
    mean = sum(values) / len(values)
    if len(arms) < len(values):
        return mean, None
    below, above = (math.hypot(*side) / len(values) for side in zip(*arms, strict=True))
    return mean, (mean - below, mean + above)


def _list_measured(suite: Mapping[str, Any]) -> list[list[str]]:
    """The rows of the skills that are measured, and of their mean, without the skills' short names."""
    left_out = {name for name, _ in skill_table.list_obstacles(suite)}
    return [cells for name, *cells in skill_table.list_rows(suite) if name not in left_out]


def _list_warned(warnings: Sequence[str]) -> list[str]:
    """The tasks, or other subjects, that the warnings begin with, each once."""
    return list(dict.fromkeys(warning.partition(": ")[0] for warning in warnings if ": " in warning))


def _axis_label(words: Words, changes: Mapping[str, verdicts.TaskChanges], tasks: Sequence[ScoredTask]) -> str:
    if len(tasks) > 1:
        return f"mean of {words.labels([task.name for task in tasks])}"
    found = changes[tasks[0].name]
    minus = "−" if found.lost.lower_is_better else ""
    return f"{words.label(tasks[0].name)}, {minus}{found.lost.name}"


def _flow(material: Material) -> Markup:
    counts = material.repair["counts"]
    streams = [
        Stream("kept as sent", material.as_sent, "good"),
        Stream("kept after repair", counts["rows_kept"] - material.as_sent, "mended"),
        *(
            Stream(f"quarantined: {reason.replace('_', ' ')}", count, "bad")
            for reason, count in sorted(material.repair["reasons"].items(), key=lambda item: -item[1])
        ),
    ]
    return Markup(figures.draw_flow(f"{counts['rows']:,d} texts in {counts['replies']:,d} replies", streams))


def policy(scripts: Sequence[str]) -> str:
    """A content security policy: nothing is loaded, no script runs but these, by their SHA-256."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {hashes or chr(39) + 'none' + chr(39)}; base-uri 'none'; form-action 'none'"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


INTERVAL = re.compile(r" \[([^\[\],]+), ([^\[\]]+)\](.*)$")
MARKS = {
    "▲": Markup(
        '<span class="better"><span aria-hidden="true">▲</span><span class="hidden">significantly better</span></span>'
    ),
    "▼": Markup(
        '<span class="worse"><span aria-hidden="true">▼</span><span class="hidden">significantly worse</span></span>'
    ),
    "◆": Markup('<span aria-hidden="true">◆</span><span class="hidden">significantly changed</span>'),
}


def _show_cell(text: str) -> Markup:
    """A cell as the tables in Markdown have it, `0.265 [0.246, 0.288] ▼`: the interval small and below, the mark in words
    too for those who listen; what follows a `;` is a line of its own."""
    lines = []
    for part in text.split("; "):
        line = INTERVAL.sub(r'\3<span class="small ends">\1 to \2</span>', str(_code(part)))
        for mark, html in MARKS.items():
            line = line.replace(mark, html)
        lines.append(line)
    return Markup(lines[0] if len(lines) == 1 else "".join(f"<div>{line}</div>" for line in lines))


def _code(text: str) -> Markup:
    """Advice in Markdown's one mark that it uses, `code`, as HTML."""
    parts = text.split("`")
    html = Markup("")
    for index, part in enumerate(parts):
        html += Markup("<code>{}</code>").format(part) if index % 2 else part
    return html
