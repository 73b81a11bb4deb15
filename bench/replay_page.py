"""The page and the plot of the replay sweep (`bench.replay_sweep`): means over seeds, with the least and the most."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Run = dict[str, Any]
COLUMNS = (
    ("code", "pass_at_1", "code: tests passed"),
    ("code", "bpb", "code: bits per byte"),
    ("general", "rouge_l", "general: ROUGE-L"),
    ("general", "bpb", "general: bits per byte"),
    ("reviews", "stance", "reviews: right stance"),
    ("reviews", "bpb", "reviews: bits per byte"),
)
COLOURS = {"code": "#1b6ca8", "general": "#b3541e", "reviews": "#3a7d44"}
PANELS = (
    (
        "code: tests passed; general: ROUGE-L; reviews: right stance",
        {"code": "pass_at_1", "general": "rouge_l", "reviews": "stance"},
    ),
    ("bits per byte of held-out references (lower is better)", dict.fromkeys(COLOURS, "bpb")),
)
FINDINGS = "## What it shows"
TOP, FLOOR, LEFT, WIDTH, STEP = 44, 284, 50, 330, 400  # of the panels, in the plot's units


def write(found: dict[str, Any], folder: Path) -> None:
    """replay.md and replay.svg in `folder`. What people wrote under the page's findings stays as it is."""
    page = folder / "replay.md"
    written = page.read_text(encoding="utf-8") if page.is_file() else ""
    findings = written[written.index(FINDINGS) :] if FINDINGS in written else f"{FINDINGS}\n"
    page.write_text(text(found) + "\n" + findings, encoding="utf-8")
    (folder / "replay.svg").write_text(plot(found["runs"]), encoding="utf-8")
    print(f"wrote {page.name} and replay.svg")


def text(found: dict[str, Any]) -> str:
    """The page without its findings."""
    runs = found["runs"]
    seeds = sorted({run["seed"] for run in runs if run["seed"] is not None})
    rows = []
    for share in sorted({run["share"] for run in runs}, key=lambda share: -1 if share is None else share):
        for control in (False, True):
            of_point = [run for run in runs if (run["share"], run["control"]) == (share, control)]
            if not of_point:
                continue
            kind = "base" if share is None else "none" if not share else "pad control" if control else "replay"
            updates = "" if share is None else str(of_point[0]["updates"])
            cells = [_cell(values(runs, share, control, task, score)) for task, score, _ in COLUMNS]
            first = "" if share is None else f"{share:g}"
            rows.append(f"| {first} | {kind} | {updates} | {len(of_point)} | " + " | ".join(cells) + " |")
    return f"""# Replay in the first round

Does a little original code in the mix of round 2b prevent forgetting, and is it the data that does it, or only the
extra updates? `finetune_2b.methods.replay.share` is the share of the final mix that is original code; the pad control
(`control: true`) trains on as many extra rows of the new task instead. General instructions are replayed by neither.

The mini profile, one base for all; {len(seeds)} seeds of the round ({", ".join(map(str, seeds))}: which rows are replayed, the
adapter's first weights, the order). Scores of 2b on {found["prompts"]} held-out prompts of each task, the same for every run: the mean
over seeds, the least and the most in brackets. Trained with {found["threads"]} thread{"s" * (found["threads"] > 1)} a run.

| share | kind | updates | runs | {" | ".join(title for _, _, title in COLUMNS)} |
| --- | --- | --- | --- | {" | ".join("---" for _ in COLUMNS)} |
{chr(10).join(rows)}

![Scores and bits per byte of the three tasks over the share of replay, with the pad control](replay.svg)

Made by these commands; the first takes minutes, the second can be stopped and goes on where it was:

    dvc repro
    python -m bench.replay_sweep
"""


def values(runs: Sequence[Run], share: float | None, control: bool, task: str, score: str) -> list[float]:
    """A score of every seed of one point; without replay there is nothing to control, so control is the same there."""
    return [
        run["scores"][task][score]
        for run in runs
        if run["share"] == share and run["control"] == (control and bool(share)) and score in run["scores"][task]
    ]


def _cell(found: Sequence[float]) -> str:
    if not found:
        return ""
    spread = f" ({min(found):.3f} to {max(found):.3f})" if len(found) > 1 else ""
    return f"{statistics.fmean(found):.3f}{spread}"


def plot(runs: Sequence[Run]) -> str:
    """Two panels over the share, evenly spaced: scores, and bits per byte. Replay solid, pad control dashed."""
    shares = sorted({run["share"] for run in runs if run["share"] is not None})
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 830 400" font-family="sans-serif" font-size="12">',
        '<rect width="830" height="400" fill="white"/>',
    ]
    for place, (title, scores) in enumerate(PANELS):
        parts += _panel(runs, shares, LEFT + STEP * place, title, scores)
    for place, (task, colour) in enumerate(COLOURS.items()):
        for control in (False, True):
            x, y = LEFT + 190 * place, 350 + 22 * control
            parts.append(f'<path d="M{x} {y}h28" stroke="{colour}" stroke-width="2"{_dash(control)}/>')
            parts.append(f'<text x="{x + 34}" y="{y + 4}">{task}, {"pad control" if control else "replay"}</text>')
    parts.append(f'<path d="M{LEFT + 580} 350h28" stroke="#777" stroke-width="1" stroke-dasharray="1 3"/>')
    parts.append(f'<text x="{LEFT + 614}" y="354">base, before 2b</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(runs: Sequence[Run], shares: Sequence[float], left: int, title: str, scores: dict[str, str]) -> list[str]:
    highest = max(
        max(values(runs, share, control, task, score), default=0)
        for task, score in scores.items()
        for share in shares
        for control in (False, True)
    )
    ceiling = 1.0 if highest <= 1 else 1.05 * highest
    span = max(len(shares) - 1, 1)

    def across(share: float) -> float:
        return left + WIDTH * shares.index(share) / span

    def up(value: float) -> float:
        return FLOOR - (FLOOR - TOP) * value / ceiling

    parts = [
        f'<path d="M{left} {TOP}V{FLOOR}H{left + WIDTH}" fill="none" stroke="#333"/>',
        f'<text x="{left - 34}" y="{TOP - 18}">{title}</text>',
        f'<text x="{left + WIDTH / 2:.0f}" y="{FLOOR + 38}" text-anchor="middle">share of original code in the mix of 2b</text>',
    ]
    parts += [f'<text x="{across(s):.0f}" y="{FLOOR + 18}" text-anchor="middle">{s:g}</text>' for s in shares]
    parts += [
        f'<text x="{left - 7}" y="{up(ceiling * tick / 4) + 4:.0f}" text-anchor="end">{ceiling * tick / 4:.2f}</text>'
        for tick in range(5)
    ]
    for task, score in scores.items():
        colour = COLOURS[task]
        before = values(runs, None, False, task, score)
        if before and before[0] <= ceiling:
            height = f"{up(before[0]):.1f}"
            parts.append(
                f'<path d="M{left} {height}H{left + WIDTH}" stroke="{colour}" stroke-width="1" stroke-dasharray="1 3"/>'
            )
        for control in (False, True):
            points = []
            for share in shares:
                found = values(runs, share, control, task, score)
                if not found:
                    continue
                points.append(f"{across(share):.1f},{up(statistics.fmean(found)):.1f}")
                ring = f'fill="{"white" if control else colour}" stroke="{colour}"'
                parts += [f'<circle cx="{across(share):.1f}" cy="{up(v):.1f}" r="2.5" {ring}/>' for v in found]
            parts.append(
                f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"{_dash(control)}/>'
            )
    return parts


def _dash(control: bool) -> str:
    return ' stroke-dasharray="5 4"' if control else ""
