"""The 3a table: Markdown through `tabulate` for people, CSV for everything else."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from relearn.records import atomic_write

if TYPE_CHECKING:
    from relearn.scoring.evaluation import Evaluation

NAMES = {
    "codebleu": "CodeBLEU",
    "rouge_l": "ROUGE-L",
    "bertscore": "BERTScore",
    "bleu": "BLEU",
    "code_rate": "contains code",
    "exact_match": "exact match",
    "pass_at_1": "pass@1",
    "stance": "stance",
    "bpb": "bits per byte ↓",
}
COLUMNS = ("model", "task", "metric", "value", "low", "high", "mark")


def write(found: Evaluation, markdown_path: Path, csv_path: Path) -> None:
    """Both forms of the table."""
    with atomic_write(markdown_path) as file:
        file.write(markdown(found))
    with atomic_write(csv_path) as file:
        file.write(as_csv(found.rows))


def as_csv(rows: list[dict[str, Any]]) -> str:
    """One row a model, task and metric: value, ends of the 95% interval, significance mark."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if row[key] is None else row[key] for key in COLUMNS} for row in rows)
    return out.getvalue()


def markdown(found: Evaluation) -> str:
    """A table a task: one row a model, each cell the value, its interval, and its mark."""
    parts = []
    for task in dict.fromkeys(row["task"] for row in found.rows):
        cells = {(row["model"], row["metric"]): row for row in found.rows if row["task"] == task}
        metrics = list(dict.fromkeys(metric for _, metric in cells))
        models = list(dict.fromkeys(model for model, _ in cells))
        body = [[model, *(cell(cells.get((model, metric))) for metric in metrics)] for model in models]
        heads = ["model", *(NAMES.get(metric, metric) for metric in metrics)]
        title = f"### {_title(task, found.intervals)}"
        parts.append(f"{title}\n\n{tabulate(body, heads, tablefmt='github', disable_numparse=True)}\n")
    notes = [
        "Brackets: 95% intervals over clusters. ▲ and ▼: better and worse than the model above, p ≤ 0.05 by paired "
        "randomisation after Holm's correction. ↓: lower is better. The claim is about these checkpoints: one "
        "training seed.",
        *(f"Warning: {warning}." for warning in found.warnings),
    ]
    return "\n".join([*parts, *(note + "\n" for note in notes)])


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
