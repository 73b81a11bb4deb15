"""The page people look at: one self-contained HTML file, from the files that the stages wrote.

Every value goes through Jinja2's autoescape; a content security policy lets nothing load and runs no script but
the page's own, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from relearn.records import MODELS, Instruction, Quarantined, Reply
from relearn.report import figures, marks, words
from relearn.report.analysis import Analysis
from relearn.report.figures import Spot, Stream
from relearn.report.verdicts import changes


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
    prepare: Mapping[str, Any]
    signatures: Mapping[str, Any]
    mended: Sequence[tuple[str, Reply, Instruction]]
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
    made.globals |= {"words": words, "inline": _inline(made), "policy": policy}
    made.filters |= {"shown": marks.shown, "score": _score, "code": _code}
    return made


def render(material: Material, analysis: Analysis) -> str:
    """The page's HTML."""
    made = environment()
    found = changes(material.intervals)
    spots, labels = _spots(material, found)
    tasks = list(material.intervals["tasks"])
    return made.get_template("index.html.j2").render(
        material=material,
        analysis=analysis,
        models=[model for model in MODELS if any(row["model"] == model for row in material.rows)],
        tasks=tasks,
        changes=found,
        table=_table(material.rows),
        heat={task: of.headline for task, of in found.items()},
        learn_forget=Markup(figures.learn_forget(spots, *labels)) if spots else None,
        losses=Markup(figures.losses(material.losses, tasks)),
        flow=Markup(figures.flow(*_streams(material))),
        pieces=marks.pieces,
        scripts=[made.loader.get_source(made, "filter.js")[0]] if made.loader else [],
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Mapping[str, Any]]]]:
    """task → metric → model → row."""
    table: dict[str, dict[str, dict[str, Mapping[str, Any]]]] = {}
    for row in rows:
        table.setdefault(row["task"], {}).setdefault(row["metric"], {})[row["model"]] = row
    return table


def _spots(material: Material, found: Mapping[Any, Any]) -> tuple[list[Spot], tuple[str, str]]:
    """The learn-forget plot's points: the headlines of code (or else general) and reviews."""
    old = next((task for task in ("code", "general") if task in found), None)
    if old is None or "reviews" not in found:
        return [], ("", "")
    axes = [(task, found[task].headline) for task in (old, "reviews")]
    scores = [material.intervals["tasks"][task]["scores"][metric] for task, metric in axes]
    spots = [
        Spot(
            model,
            scores[0][model]["value"],
            _ends(scores[0][model]),
            scores[1][model]["value"],
            _ends(scores[1][model]),
        )
        for model in scores[0]
    ]
    labels = [
        f"{kind} skill: {words.TASKS[task]}, {words.metric(metric)}"
        for kind, (task, metric) in zip(("old", "new"), axes, strict=True)
    ]
    return spots, (labels[0], labels[1])


def _ends(score: Mapping[str, Any]) -> tuple[float, float] | None:
    return None if score["low"] is None or score["high"] is None else (score["low"], score["high"])


def _streams(material: Material) -> tuple[str, list[Stream]]:
    counts = material.repair["counts"]
    mended = counts["fields_kept"] - material.as_sent
    streams = [
        Stream("kept as sent", material.as_sent, "good"),
        Stream("kept after repair", mended, "mended"),
    ]
    streams += [
        Stream(f"quarantined: {reason.replace('_', ' ')}", count, "bad")
        for reason, count in sorted(material.repair["reasons"].items(), key=lambda item: -item[1])
    ]
    return f"{counts['fields']:,d} texts in {counts['replies']:,d} replies", streams


def policy(scripts: Sequence[str]) -> str:
    """A content security policy: nothing is loaded, no script runs but these, by their SHA-256."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    )
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {hashes or chr(39) + 'none' + chr(39)}; base-uri 'none'; form-action 'none'"


def _inline(made: Environment) -> Any:
    def inline(name: str) -> Markup:
        """A file of the templates folder as it is: the project's own style sheet."""
        assert made.loader is not None
        return Markup(made.loader.get_source(made, name)[0])

    return inline


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _code(text: str) -> Markup:
    """Advice in Markdown's one mark that it uses, `code`, as HTML."""
    parts = text.split("`")
    html = Markup("")
    for index, part in enumerate(parts):
        html += Markup("<code>{}</code>").format(part) if index % 2 else part
    return html
