"""How much original data in the first round prevents forgetting, and whether it is the data or the extra updates.

    python -m bench.replay_sweep                      # 33 runs, about 3 hours on two quiet cores; stop it at any time
    python -m bench.replay_sweep --shares 0 0.1 --seeds 1222
    python -m bench.replay_sweep --write              # docs/replay.md and its plot, from what is done so far

For each seed, and each share of original code in the final mix of round 2b, with replay and with the pad control (as
many extra rows of the new task instead), runs `dvc repro eval_3a` of the mini profile in a clone of the working tree,
and keeps the scores of 2b. Finished runs are kept in .cache/bench/ under a hash of the code; the same command goes on
where it was stopped. Writes bench/out/replay_sweep.json; the page and its plot only with --write, or at the end.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out" / "replay_sweep.json"
PAGE, PLOT = ROOT / "docs" / "replay.md", ROOT / "docs" / "replay.svg"
SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.3)
SEEDS = (1222, 1223, 1224)
SCORES = (
    ("code", "pass_at_1", "code: tests passed"),
    ("code", "bpb", "code: bits per byte"),
    ("general", "exact_match", "general: exact match"),
    ("general", "bpb", "general: bits per byte"),
    ("reviews", "stance", "reviews: right stance"),
    ("reviews", "bpb", "reviews: bits per byte"),
)
Run = dict[str, Any]


def main() -> None:
    """Runs what is missing and writes the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--profile", default="mini", help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help="write the page from what is done, run nothing")
    options = parser.parse_args()
    if options.write:
        write(json.loads(OUT.read_text(encoding="utf-8"))["runs"])
        return
    place = ROOT / ".cache" / "bench" / f"replay-{_code()}"
    done = place / "runs.jsonl"
    runs = [json.loads(line) for line in done.read_text().splitlines()] if done.is_file() else []
    wanted = [
        {"profile": options.profile, "seed": seed, "share": share, "control": control}
        for seed in options.seeds
        for share in sorted(options.shares)
        for control in ((False, True) if share else (False,))
    ]
    for number, point in enumerate(wanted, 1):
        if any(all(run[key] == value for key, value in point.items()) for run in runs):
            continue
        print(f"run {number} of {len(wanted)}: {point}", flush=True)
        runs.append({**point, "scores": _run(_clone(place), point)})
        with open(done, "a", encoding="utf-8") as file:
            file.write(json.dumps(runs[-1]) + "\n")
        OUT.parent.mkdir(parents=True, exist_ok=True)
        OUT.write_text(json.dumps({"runs": runs}, indent=2) + "\n", encoding="utf-8")
    if options.profile == "mini":
        write(runs)


def _code() -> str:
    digest = hashlib.sha256()
    for folder in ("relearn", "stages", "profiles", "data/sources/mini", "dvc.yaml"):
        path = ROOT / folder
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.suffix != ".pyc":
                digest.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _clone(place: Path) -> Path:
    """A clone of the working tree, with a DVC cache of its own."""
    clone = place / "clone"
    if (place / "made").exists():
        return clone
    shutil.rmtree(clone, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in sorted(set(filter(None, listed.split("\0")))):
        if (ROOT / name).is_file() and name != "dvc.lock":
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    shutil.copy(ROOT / "tests" / "profiles" / "tiny.yaml", clone / "profiles" / "tiny.yaml")
    shutil.copytree(clone / "data" / "sources" / "mini", clone / "data" / "sources" / "tiny")
    name = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    for command in (["init", "-q"], ["add", "--all"], [*name, "commit", "-qm", "The working tree"]):
        subprocess.run(["git", *command], cwd=clone, check=True)
    (place / "made").write_text("")
    return clone


def _run(clone: Path, point: Run) -> dict[str, dict[str, float]]:
    """The scores of 2b under these parameters; stages that they do not change are not run again."""
    (clone / "params.yaml").write_text(f"profile: {point['profile']}\nlr: 0.01\nseed: {point['seed']}\n")
    profile = clone / "profiles" / f"{point['profile']}.yaml"
    text = profile.read_text(encoding="utf-8")
    for key, value in (("replay", f"{point['share']:g}"), ("replay_control", str(point["control"]).lower())):
        text, count = re.subn(rf"^(  {key}: )\S+", rf"\g<1>{value}", text, flags=re.M)
        assert count == 1, f"{profile.name} does not hold {key} once"
    profile.write_text(text, encoding="utf-8")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("DVC_ROOT", None)
    done = subprocess.run(["dvc", "repro", "--quiet", "eval_3a"], cwd=clone, env=environment, check=False)
    if done.returncode:
        sys.exit("replay_sweep: dvc repro failed; what it said stands above")
    found: dict[str, dict[str, float]] = json.loads((clone / "metrics" / "eval_3a" / "2b.json").read_text())
    return found


def write(runs: Sequence[Run]) -> None:
    """docs/replay.md and docs/replay.svg: means over seeds, with the least and the most."""
    seeds = sorted({run["seed"] for run in runs})
    rows = []
    for share in sorted({run["share"] for run in runs}):
        for control in (False, True) if share else (False,):
            cells = []
            for task, score, _ in SCORES:
                values = _values(runs, share, control, task, score)
                cells.append(_cell(values) if values else "")
            kind = "pad control" if control else "replay" if share else "none"
            rows.append(f"| {share:g} | {kind} | " + " | ".join(cells) + " |")
    text = f"""# Replay in the first round

Does a little original code in the mix of round 2b prevent forgetting, and is it the data that does it, or only the
extra updates? `replay` is the share of the final mix that is original code; the pad control trains on as many extra
rows of the new task instead. Scores are 2b's, on held-out rows of the mini profile: the mean over {len(seeds)} training
seeds ({", ".join(map(str, seeds))}), the least and the most in brackets. General instructions are never replayed.

| share | kind | {" | ".join(title for _, _, title in SCORES)} |
| --- | --- | {" | ".join("---" for _ in SCORES)} |
{chr(10).join(rows)}

![Code and general scores over the share of replay, with the pad control](replay.svg)

Made by

```
python -m bench.replay_sweep
```
"""
    PAGE.write_text(text, encoding="utf-8")
    PLOT.write_text(_svg(runs), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)} and {PLOT.relative_to(ROOT)}")


def _values(runs: Sequence[Run], share: float, control: bool, task: str, score: str) -> list[float]:
    return [
        run["scores"][task][score]
        for run in runs
        if run["share"] == share and run["control"] == control and run["scores"][task].get(score) is not None
    ]


def _cell(values: Sequence[float]) -> str:
    mean = statistics.fmean(values)
    return f"{mean:.3f}" + (f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else "")


def _svg(runs: Sequence[Run]) -> str:
    """Bits per byte of code and general over the share, replay solid and control dashed, one dot a seed."""
    shares = sorted({run["share"] for run in runs})
    curves = [
        ("code", False, "#1b6ca8", "code, replay"),
        ("code", True, "#1b6ca8", "code, pad control"),
        ("general", False, "#b3541e", "general, replay"),
        ("general", True, "#b3541e", "general, pad control"),
    ]
    top = max(run["scores"][task]["bpb"] for run in runs for task in ("code", "general")) * 1.05
    across: Callable[[float], float] = lambda share: 60 + 440 * shares.index(share) / max(len(shares) - 1, 1)  # noqa: E731
    up: Callable[[float], float] = lambda value: 300 - 260 * value / top  # noqa: E731
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 360" font-family="sans-serif" font-size="13">',
        '<rect width="700" height="360" fill="white"/>',
        '<path d="M60 40V300H500" fill="none" stroke="#333"/>',
        '<text x="280" y="345" text-anchor="middle">share of original code in the mix of 2b</text>',
        '<text x="60" y="28">bits per byte of held-out references (lower is better)</text>',
    ]
    parts += [f'<text x="{across(s):.0f}" y="320" text-anchor="middle">{s:g}</text>' for s in shares]
    for tick in range(5):
        value = top * tick / 4
        parts.append(f'<text x="52" y="{up(value) + 4:.0f}" text-anchor="end">{value:.2f}</text>')
    for place, (task, control, colour, title) in enumerate(curves):
        dash = ' stroke-dasharray="5 4"' if control else ""
        points = []
        for share in shares:
            # without replay there is nothing to control
            values = _values(runs, share, control and share > 0, task, "bpb")
            if values:
                points.append(f"{across(share):.1f},{up(statistics.fmean(values)):.1f}")
                parts += [
                    f'<circle cx="{across(share):.1f}" cy="{up(v):.1f}" r="2.5" fill="{colour}"/>'
                    for v in values
                ]
        parts.append(
            f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
        )
        y = 60 + 22 * place
        parts.append(f'<path d="M520 {y}h28" stroke="{colour}" stroke-width="2"{dash}/>')
        parts.append(f'<text x="554" y="{y + 4}">{title}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    main()
