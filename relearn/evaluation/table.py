"""The 3a table: Markdown through `tabulate` for people, CSV for everything else."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from relearn import escaping as plain
from relearn.escaping import inline
from relearn.evaluation.seeds import SPREAD
from relearn.files import atomic_write
from relearn.metrics.metric import label

if TYPE_CHECKING:
    from relearn.evaluation.models import Evaluation

COLUMNS = ("model", "task", "metric", "value", "low", "high", "mark")


def write(found: Evaluation, markdown_path: Path, csv_path: Path) -> None:
    """Both forms of the table."""
    with atomic_write(markdown_path) as file:
        file.write(markdown(found))
    with atomic_write(csv_path) as file:
        file.write(as_csv(found.rows))


def as_csv(rows: list[dict[str, Any]]) -> str:
    """One row a model, task and metric: value, ends of the 95% interval, significance mark.

    Where rounds were trained with further seeds, also how many seeds there are, and the mean, standard deviation and
    range over them.
    """
    out = io.StringIO()
    spread = [f"seeds_{name}" for name in SPREAD]
    columns = [*COLUMNS, *(spread if any(spread[0] in row for row in rows) else ())]
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _plain(row.get(key)) for key in columns} for row in rows)
    return out.getvalue()


def _plain(value: Any) -> Any:
    """A value as a spreadsheet should take it: a number as it is, a text never as a formula."""
    return "" if value is None else plain.cell(value) if isinstance(value, str) else value


def markdown(found: Evaluation) -> str:
    """A table a task: one row a model, each cell the value, its interval, and its mark."""
    parts = []
    seeds = found.intervals.get("seeds") or {}
    for task in dict.fromkeys(row["task"] for row in found.rows):
        cells = {(row["model"], row["metric"]): row for row in found.rows if row["task"] == task}
        metrics = list(dict.fromkeys(metric for _, metric in cells))
        models = list(dict.fromkeys(model for model, _ in cells))
        turned = _directions(task, found.intervals)
        body = []
        for model in models:
            body.append([inline(model), *(cell(cells.get((model, metric))) for metric in metrics)])
            over = [seeds_cell(cells.get((model, metric))) for metric in metrics]
            if any(over):
                body.append([f"{inline(model)}, {seeds['number']} seeds", *(text or "–" for text in over)])
        heads = ["model", *(heading(metric, turned.get(metric)) for metric in metrics)]
        title = f"### {_title(task, found.intervals)}"
        parts.append(f"{title}\n\n{tabulate(body, heads, tablefmt='github', disable_numparse=True)}\n")
        parts += [f"{line}\n" for line in _outcome_over_seeds(seeds.get("tasks", {}).get(task, {}))]
    notes = [
        "Brackets: 95% intervals over clusters. ▲ and ▼: better and worse than the model above, p ≤ 0.05 by paired "
        "randomisation after Holm's correction. Higher is better but for ↓, where lower is, and ↕, where neither is: "
        f"there ◆ marks a change as sure. The claim is about {found.intervals['claim']}.",
        *(f"Warning: {warning}." for warning in found.warnings),
    ]
    if seeds:
        notes.insert(
            1,
            "Rows over seeds: mean ± standard deviation (least to most) over the training seeds "
            f"{', '.join(map(str, seeds['seeds']))}, on the same base, data and prompts. The rows above them, their "
            "intervals and marks are of the first.",
        )
    return "\n".join([*parts, *(note + "\n" for note in notes)])


def heading(metric: str, direction: str | None = None) -> str:
    """A metric as tables call it, marked where higher is not better."""
    return f"{label(metric)}{' ↕' if direction == 'neither' else ''}"


def _directions(task: str, intervals: Mapping[str, Any]) -> Mapping[str, str]:
    details = intervals["tasks"].get(task) or {}
    return dict(details.get("directions", {}))


def _title(task: str, intervals: Mapping[str, Any]) -> str:
    """What the scores of a task rest on; of human ratings, also how far the raters agree."""
    if task in intervals["tasks"]:
        details = intervals["tasks"][task]
        return f"{task}: {details['items']} prompts in {details['clusters']} clusters"
    details = intervals[task]
    if task == "pooled":
        return f"all tasks pooled: {details['items']} prompts in {details['clusters']} clusters"
    alphas = [
        f"{aspect} {found['alpha']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
        for aspect, found in details["agreement"].items()
        if found["alpha"] is not None and found["low"] is not None
    ]
    agreement = f"Krippendorff's α {', '.join(alphas)}" if alphas else "no answer rated twice: no α"
    return f"{task}: {details['ratings']} ratings by {details['raters']}, 1 to 5; {agreement}"


def cell(row: dict[str, Any] | None) -> str:
    """`0.913 [0.887, 0.941] ▼`, or a dash."""
    if row is None or row["value"] is None:
        return "–"
    if row["low"] is None:
        return f"{row['value']:.3f}"
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}] {row['mark']}".rstrip()


def seeds_cell(row: dict[str, Any] | None) -> str:
    """`0.902 ± 0.013 (0.887 to 0.911)`; empty where there is no second seed."""
    if row is None or row.get("seeds_sd") is None:
        return ""
    return spread_text({name: row[f"seeds_{name}"] for name in SPREAD})


def spread_text(found: Mapping[str, Any]) -> str:
    """Mean, standard deviation and range over seeds."""
    sd = "" if found["sd"] is None else f" ± {found['sd']:.3f}"
    return f"{found['mean']:.3f}{sd} ({found['min']:.3f} to {found['max']:.3f})"


def _outcome_over_seeds(models: Mapping[str, Any]) -> list[str]:
    """What was forgotten, recovered and transferred over seeds, a line a model."""
    lines = []
    for model, values in models.items():
        said = [
            f"{name.replace('_', ' ')} {spread_text(values[name])}, {values[name]['n']} seeds"
            for name in ("forgotten", "recovered", "backward_transfer")
            if name in values
        ]
        if said:
            lines.append(f"{model} over seeds: {'; '.join(said)}.")
    return lines
