"""The 3a table for people, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from relearn.escaping import inline
from relearn.metrics.metric import label

CUT = "ended at the cap"


def markdown(
    rows: Sequence[Mapping[str, Any]],
    intervals: Mapping[str, Any],
    others: Sequence[str] = (),
    caption: str | None = None,
) -> str:
    """A table a task: one row a model, each cell the value, its interval, and its mark.

    `rows` are those of the CSV, empty cells as None; `intervals` is what metrics/intervals.json holds. `others` are
    models that are compared with base, not with the model above. `caption` is the first note below the tables.
    """
    parts = []
    seeds = intervals.get("seeds") or {}
    for task in dict.fromkeys(row["task"] for row in rows):
        cells = {(row["model"], row["metric"]): row for row in rows if row["task"] == task}
        metrics = list(dict.fromkeys(metric for _, metric in cells))
        models = list(dict.fromkeys(model for model, _ in cells))
        turned = _directions(task, intervals)
        cut = cut_shares(task, intervals)
        body = []
        for model in models:
            shown = [cell(cells.get((model, metric))) for metric in metrics]
            body.append([inline(model), *shown, *([cut.get(model, "–")] if cut else [])])
            over = [seeds_cell(cells.get((model, metric))) for metric in metrics]
            if any(over):
                spread = [text or "–" for text in over]
                body.append([f"{inline(model)}, {seeds['number']} seeds", *spread, *(["–"] if cut else [])])
        heads = ["model", *(heading(metric, turned.get(metric)) for metric in metrics), *([CUT] if cut else [])]
        title = f"### {_title(task, intervals)}"
        parts.append(f"{title}\n\n{tabulate(body, heads, tablefmt='github', disable_numparse=True)}\n")
        parts += [f"{line}\n" for line in _outcome_over_seeds(seeds.get("tasks", {}).get(task, {}))]
    parts += _drift(intervals)
    beside = f" ({', '.join(others)}: than base)" if others else ""
    notes = [
        f"Brackets: 95% intervals over clusters. ▲ and ▼: better and worse than the model above{beside}, p ≤ 0.05 by paired "
        "randomisation after Holm's correction. Higher is better except for ↓, where lower is, and ↕, where neither is: "
        f"there ◆ marks a significant change. Ended at the cap: answers cut off at their longest length. The claim is about {intervals['claim']}.",
        *(f"Warning: {warning}." for warning in intervals["warnings"]),
    ]
    if caption is not None:
        notes.insert(0, inline(caption))
    if seeds:
        notes.insert(
            len(notes) - len(intervals["warnings"]),
            "Rows over seeds: mean ± standard deviation (least to most) over the training seeds "
            f"{', '.join(map(str, seeds['seeds']))}, on the same base, data and prompts. The rows above them, their "
            "intervals and marks are of the first.",
        )
    return "\n".join([*parts, *(note + "\n" for note in notes)])


DRIFT = (
    "KL(base‖model) in nats a token along base's own answers to held-out prompts of the new task: how far a model has moved, "
    "measured without old data."
)


def list_drift(intervals: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """How far each model has moved from base: heads and rows, a column a new task; no rows where it was not measured."""
    tasks = intervals.get("drift", {}).get("tasks", {})
    models = dict.fromkeys(model for found in tasks.values() for model in found)
    return ["model", *tasks], [[model, *(cell(found.get(model)) for found in tasks.values())] for model in models]


def _drift(intervals: Mapping[str, Any]) -> list[str]:
    heads, rows = list_drift(intervals)
    if not rows:
        return []
    body = [[inline(model), *cells] for model, *cells in rows]
    table = tabulate(body, [inline(head) for head in heads], tablefmt="github", disable_numparse=True)
    return [f"### Distance from base\n\n{DRIFT}\n\n{table}\n"]


def heading(metric: str, direction: str | None = None) -> str:
    """A metric as tables call it, marked where higher is not better."""
    return f"{label(metric)}{' ↕' if direction == 'neither' else ''}"


def cut_shares(task: str, intervals: Mapping[str, Any]) -> dict[str, str]:
    """By model, the share of its answers that ended at the cap, `8.2%`; with `!` where it is above what is sound.

    Empty for what is not a task, such as human ratings.
    """
    shares = {
        model: counts["cut"] / counts["items"]
        for model, counts in (intervals["tasks"].get(task) or {}).get("counts", {}).items()
        if "cut" in counts
    }
    return {model: f"{share:.1%}{' !' if share > intervals['cut_share'] else ''}" for model, share in shares.items()}


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
    apart = (
        f"; {details['apart']['raters']} more failed an attention check and are left out" if "apart" in details else ""
    )
    return f"{task}: {details['ratings']} ratings by {details['raters']}, 1 to 5; {agreement}{apart}"


def cell(row: Mapping[str, Any] | None) -> str:
    """`0.913 [0.887, 0.941] ▼`, or a dash."""
    if row is None or row["value"] is None:
        return "–"
    if row["low"] is None:
        return f"{row['value']:.3f}"
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}] {row.get('mark', '')}".rstrip()


def seeds_cell(row: Mapping[str, Any] | None) -> str:
    """`0.902 ± 0.013 (0.887 to 0.911)`; empty where there is no second seed."""
    if row is None or row.get("seeds_sd") is None:
        return ""
    return spread_text({name: row[f"seeds_{name}"] for name in ("mean", "sd", "min", "max")})


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
