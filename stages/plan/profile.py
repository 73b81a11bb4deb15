"""The plan of a project's profile: what its held-out prompts could show, and what its stages, teacher and judge cost."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from relearn import models
from relearn.errors import InputError
from relearn.metrics.metric import all_metrics, label
from relearn.params import Params, load
from relearn.params.generate import EmbeddedTeacher
from relearn.params.judge import EmbeddedJudge
from relearn.statistics.power import FREE, standard_errors
from stages import generate, judge
from stages.paths import HERE, Paths
from stages.plan import amounts
from stages.plan.amounts import Amounts
from stages.plan.detection import Assumed, Detection, Known, detect


def plan_profile(profile: str | None, loss: float, price_per_hour: float | None, assumed: Assumed) -> dict[str, Any]:
    """The plan, as plain values; runs no stage. Raises InputError outside a project and for unsound parameters."""
    if not (HERE.root / "params.yaml").is_file():
        raise InputError("no params.yaml here; run in a project (relearn init makes one), or give --prompts")
    params = load(HERE.root, profile)
    sizes = Amounts(params, HERE)
    table = _read_table(sizes)
    detection = [_detect(task, sizes, loss, assumed, table) for task in params.tasks]
    models.set_seed_and_threads(params.compute.threads, params.seed)
    try:
        models.check_device(params.compute.device)
        config = amounts.find_config(params, HERE)
    except (InputError, LookupError) as error:
        config = None
        sizes.notes.append(f"no times and memory: {error}")
    if not sizes.repaired:
        sizes.notes.append(
            "each prompt, or the rows of one text, count as a cluster until `dvc repro repair` has made the rows"
        )
    stages = sizes.measure(config)
    seconds = [cost.seconds for cost in stages if cost.seconds is not None]
    if config is not None:
        sizes.notes.append(
            f"together {sum(seconds) / 60:.1f} min, plus the start of each stage, the teacher and the scores; memory is "
            "the model's, plus about 1 GiB for the libraries"
        )
    if price_per_hour is not None and seconds:
        sizes.notes.append(
            f"the machine costs {sum(seconds) / 3600 * price_per_hour:.2f} USD at {price_per_hour:g} an hour"
        )
    return {
        "profile": params.profile,
        "machine": f"{params.compute.device}, {params.compute.threads} threads, {params.compute.precision}",
        "loss": loss,
        "detection": [asdict(row) for row in detection],
        "stages": [asdict(cost) for cost in stages],
        "seconds": sum(seconds) if config is not None else None,
        "teacher": _price_teacher(params, HERE, sizes),
        "judge": price_judge(params, HERE, sizes),
        "notes": [*assumed.describe(detection), *sizes.notes],
    }


def _read_table(sizes: Amounts) -> dict[str, Any]:
    """metrics/intervals.json of an earlier run of this profile; empty where there is none."""
    file = sizes.paths.metrics / "intervals.json"
    if not file.is_file() or not sizes.is_current("prepare"):
        return {}
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _detect(task: str, sizes: Amounts, loss: float, assumed: Assumed, table: dict[str, Any]) -> Detection:
    params = sizes.params
    metric = params.eval_3a.metrics.by_task[task][0]
    prompts, clusters = sizes.count_prompts(task)
    seeds = 1 + len(params.seeds)
    known = _recall(table, task, metric)
    if known.deviation is None and assumed.deviation is None and all_metrics()[metric].better == "lower":
        # bits per byte have no upper bound from which a spread would follow
        return Detection(
            task,
            label(metric),
            prompts,
            clusters,
            seeds,
            None,
            None,
            None,
            "unknown before a first table; set --deviation",
        )
    return detect(task, label(metric), prompts, clusters, seeds, loss, assumed, known)


def _recall(table: dict[str, Any], task: str, metric: str) -> Known:
    """What the earlier table tells of the change from base to 2b."""
    of_task = table.get("tasks", {}).get(task)
    if of_task is None:
        return Known()
    deviation = next(
        (
            cell["detectable"] / standard_errors(FREE) * math.sqrt(of_task["clusters"])
            for cell in of_task["comparisons"]
            if cell["metric"] == metric and cell["kind"] == "forgetting" and cell["detectable"]
        ),
        None,
    )
    over = table.get("seeds", {}).get("tasks", {}).get(task, {}).get("2b", {}).get(metric, {})
    return Known(deviation, over.get("sd"))


def _price_teacher(params: Params, paths: Paths, sizes: Amounts) -> dict[str, Any]:
    """What is asked of the teacher, and the cost; `lines` say it to people."""
    asked = [task for task, found in params.generate.by_task.items() if found is not None]
    rows = [params.prepare.by_task[task] for task in asked]
    requests = sum(task.train + task.val + task.test for task in rows)
    if isinstance(params.generate.teacher, EmbeddedTeacher) or not requests:
        return {"requests": requests, "cost": 0.0, "lines": [f"  teacher: {requests} requests, free"]}
    if not sizes.prepared:
        most = requests * params.generate.max_tokens * params.generate.price_output / 1e6
        line = f"  teacher: {requests} requests, answers at most {most:.2f} USD; run `dvc repro prepare` to count the prompts"
        return {"requests": requests, "cost": None, "lines": [line]}
    found = generate.estimate(params, paths)
    return {
        "requests": found.requests,
        "cost": found.cost,
        "cost_most": found.cost_most,
        "lines": [
            f"teacher, {found.lines(params.generate.budget_usd)[0]}",
            *found.lines(params.generate.budget_usd)[1:],
        ],
    }


def price_judge(params: Params, paths: Paths, sizes: Amounts) -> dict[str, Any] | None:
    """What is asked of a judge, and the cost; None where there is none."""
    options = params.judge
    if options is None:
        return None
    prompts = sum(min(options.prompts, sizes.count_prompts(task)[0]) for task in options.tasks)
    requests = 2 * prompts * (3 if params.named("replayed") else 1)  # both orders of each pair of models
    if isinstance(options.judge, EmbeddedJudge):
        return {"requests": requests, "cost": 0.0, "lines": [f"  judge: {requests} requests, free"]}
    found = None
    if paths.predicted("base").is_file() and sizes.is_current("predict"):
        found = judge.estimate(params, paths)
    if found is None:
        most = requests * options.max_tokens * options.price_output / 1e6
        line = f"  judge: {requests} requests, verdicts at most {most:.2f} USD; run `dvc repro predict` to count the prompts"
        return {"requests": requests, "cost": None, "lines": [line]}
    first, *lines = found.lines(options.budget_usd)
    return {
        "requests": found.requests,
        "cost": found.cost,
        "cost_most": found.cost_most,
        "lines": [f"judge, {first}", *lines],
    }
