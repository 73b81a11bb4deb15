"""The page people look at: one self-contained HTML file, from the files that the stages wrote.

Every value goes through Jinja2's autoescape; a content security policy lets nothing load and runs no script but
the page's own, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from relearn.escaping import shown
from relearn.records import MODELS, NewRow, Quarantined, Reply
from relearn.report import figures, marks, verdicts, words
from relearn.report.analysis import Analysis
from relearn.report.figures import Stream


@dataclass(frozen=True)
class Material:
    """Everything the page shows. JSON documents as the stages wrote them; `rows` are the 3a table's CSV rows.

    `losses` maps a round to the rows of its CSV. `facts` are lists of (name, value) for the page's end: parameters,
    versions, models, data. `setting` are sentences that say what kind of experiment the finding is about.
    """

    intervals: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    probes: Mapping[str, Any]
    ngram: int
    losses: Mapping[str, Sequence[Mapping[str, float | None]]]
    repair: Mapping[str, Any]
    generate: Mapping[str, Any]
    mended: Sequence[tuple[str, Reply, NewRow]]
    refused: Sequence[Quarantined]
    as_sent: int
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
    made.globals |= {"words": words, "inline": lambda name: Markup(read_template(name)), "policy": policy}
    made.filters |= {"shown": shown, "score": _score, "code": _code}
    return made


def read_template(name: str) -> str:
    """A file of the templates folder as it is: the project's own style sheet or script."""
    return files("relearn.report").joinpath("templates", name).read_text(encoding="utf-8")


def render(material: Material, analysis: Analysis) -> str:
    """The page's HTML."""
    tasks = list(material.intervals["tasks"])
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            material=material,
            analysis=analysis,
            models=[model for model in MODELS if any(row["model"] == model for row in material.rows)],
            tasks=tasks,
            table=_table(material.rows),
            learn_forget=_learn_forget(material.intervals["tasks"], analysis.changes),
            losses=Markup(figures.draw_losses(material.losses, tasks)),
            flow=_flow(material),
            pieces=marks.mark_pieces,
            scripts=[read_template("filter.js")],
        )
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Mapping[str, Any]]]]:
    """task → metric → model → row."""
    table: dict[str, dict[str, dict[str, Mapping[str, Any]]]] = {}
    for row in rows:
        table.setdefault(row["task"], {}).setdefault(row["metric"], {})[row["model"]] = row
    return table


def _learn_forget(tasks: Mapping[str, Any], changes: Mapping[str, verdicts.TaskChanges]) -> Markup | None:
    """The headlines of code (or else general) against those of reviews; None where one of them is missing."""
    old: str | None = next((task for task in ("code", "general") if task in changes), None)
    if old is None or "reviews" not in changes:
        return None
    metrics = {task: changes[task].headline for task in (old, "reviews")}
    olds, news = (tasks[task]["scores"][metric] for task, metric in metrics.items())
    spots = [
        figures.Spot(model, olds[model]["value"], _ends(olds[model]), news[model]["value"], _ends(news[model]))
        for model in olds
    ]
    old_label, new_label = (f"{words.TASKS[task]}, {words.metric(metric)}" for task, metric in metrics.items())
    return Markup(figures.draw_learn_forget(spots, f"old skill: {old_label}", f"new skill: {new_label}"))


def _ends(score: Mapping[str, Any]) -> tuple[float, float] | None:
    return None if score["low"] is None or score["high"] is None else (score["low"], score["high"])


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
    return Markup(figures.draw_flow(f"{counts['rows']:,d} rows in {counts['replies']:,d} replies", streams))


def policy(scripts: Sequence[str]) -> str:
    """A content security policy: nothing is loaded, no script runs but these, by their SHA-256."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {hashes or chr(39) + 'none' + chr(39)}; base-uri 'none'; form-action 'none'"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _code(text: str) -> Markup:
    """Advice in Markdown's one mark that it uses, `code`, as HTML."""
    parts = text.split("`")
    html = Markup("")
    for index, part in enumerate(parts):
        html += Markup("<code>{}</code>").format(part) if index % 2 else part
    return html
