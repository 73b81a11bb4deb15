"""`relearn plan`: what an experiment could show and what it costs, before it runs.

    relearn plan [--profile NAME]            # a project's profile: losses that would show, rows, time, memory, money
    relearn plan --prompts 500 --loss 0.02   # a comparison of two models, anywhere

docs/plan.md lists the assumptions.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

import click
from tabulate import tabulate

from relearn.commands import SETTINGS
from relearn.errors import InputError
from relearn.escaping import shown
from relearn.progress import tell_duration
from stages.plan.detection import Assumed, Known, detect

NEEDED = ("torch", "transformers", "peft")  # of the extra `models`: without them nothing can be timed


def _run(**options: Any) -> None:
    try:
        found = _plan(**options)
    except InputError as error:
        print(f"plan: {' '.join(shown(str(error)).split())}", file=sys.stderr)
        click.get_current_context().exit(1)
    if options["as_json"]:
        print(json.dumps(_plain(found), ensure_ascii=False, indent=2))
    else:
        print("\n".join(_lines(found)))


def _plan(
    profile: str | None, prompts: int | None, clusters: int | None, seeds: int, loss: float, price_per_hour: float | None,
    as_json: bool, **assumed: Any,
) -> dict[str, Any]:  # fmt: skip
    given = Assumed(**assumed)
    if prompts is None:
        if clusters is not None:
            raise click.UsageError("--clusters needs --prompts")
        # here, since it brings the parameter tree and more, which --help and a comparison do without
        missing = [name for name in NEEDED if find_spec(name) is None]
        if missing:
            raise InputError(f'{missing[0]} is not installed: pip install "relearn-llm[pipeline]", or give --prompts')
        from stages.plan.profile import plan_profile

        return plan_profile(profile, loss, price_per_hour, given)
    if profile is not None:
        raise click.UsageError("--profile cannot be used with --prompts")
    if clusters is not None and clusters > prompts:
        raise InputError(
            f"--clusters {clusters}: more than the {prompts} prompts; each cluster has at least one prompt"
        )
    row = detect("comparison", "score", prompts, clusters or prompts, seeds, loss, given, Known())
    return {"loss": loss, "detection": [asdict(row)], "notes": given.describe([row])}


def _plain(value: Any) -> Any:
    """JSON has no infinity: null, as where nothing is known."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lines(found: dict[str, Any]) -> list[str]:
    """The plan for people."""
    rows = [
        {
            "task": row["task"],
            "metric": row["metric"],
            "prompts": row["prompts"],
            "clusters": row["clusters"],
            "smallest loss that shows": _score(row["detectable"]),
            f"of the method, {row['seeds']} seeds": _score(row["of_method"]),
            f"prompts that show {found['loss']:g}": "out of reach" if row["needed"] is None else row["needed"],
            "basis": row["basis"],
        }
        for row in found["detection"]
    ]
    if all(row["of_method"] is None for row in found["detection"]):
        rows = [{name: value for name, value in row.items() if not name.startswith("of the")} for row in rows]
    lines = ["What could be shown (two-sided 5%, power 80%):", tabulate(rows, headers="keys", disable_numparse=True)]
    if "stages" in found:
        lines += ["", f"What profile {found['profile']} costs on this machine ({found['machine']}):"]
        costs = [
            {
                "stage": cost["stage"],
                "rows": cost["rows"],
                "tokens": f"{cost['tokens']:,.0f}",
                "time": "–" if cost["seconds"] is None else tell_duration(cost["seconds"]),
                "memory": "–" if cost["memory"] is None else f"{cost['memory'] / 2**30:.2f} GiB",
                "basis": cost["basis"],
            }
            for cost in found["stages"]
        ]
        lines += [
            tabulate(costs, headers="keys", disable_numparse=True),
            *found["teacher"]["lines"],
            *(found["judge"] or {}).get("lines", []),
        ]
    return [*lines, "", *(f"- {note}" for note in found["notes"])]


def _score(value: float | None) -> str:
    return "–" if value is None else "none" if math.isinf(value) else f"{value:.3f}"


SHARE = click.FloatRange(0, 1)
ABOVE = click.FloatRange(0, min_open=True)
command = click.Command(
    "plan",
    callback=_run,
    short_help="Estimate what an experiment could show, and what it costs.",
    help="Estimate what an experiment could show and what it costs, before it runs: for a project's profile, or with --prompts for a "
    "comparison of two models.",
    context_settings=SETTINGS,
    params=[
        click.Option(["--profile"], metavar="NAME", help="A profile of the project (default: the one in params.yaml)."),
        click.Option(["--prompts"], type=click.IntRange(2), help="Held-out prompts of a comparison."),
        click.Option(["--clusters"], type=click.IntRange(2), help="Clusters of these prompts (default: each prompt its own)."),
        click.Option(["--seeds"], type=click.IntRange(1), default=1, help="Training seeds of a comparison (default: 1)."),
        click.Option(["--loss"], type=ABOVE, default=0.05, help="The loss to show (default: 0.05)."),
        click.Option(["--score"], type=click.FloatRange(0, 1, True, True), default=0.5, help="Assumed score before (default: 0.5, the widest spread)."),
        click.Option(["--correlation"], type=SHARE, default=0.5, help="Assumed correlation of the two models' scores over prompts (default: 0.5)."),
        click.Option(["--within"], type=SHARE, default=1.0, help="Assumed correlation of prompts within a cluster (default: 1, the worst case)."),
        click.Option(["--deviation"], type=ABOVE, help="Known standard deviation of a cluster's difference."),
        click.Option(["--seed-deviation"], type=ABOVE, help="Known standard deviation of the score over training seeds."),
        click.Option(["--price-per-hour"], type=click.FloatRange(0), help="Cost of an hour of this machine in USD."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print JSON."),
    ],
)  # fmt: skip
