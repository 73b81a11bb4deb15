"""Methods at equal new skill, from the experiments that DVC knows of: what each loses, its time, what trains it, its answers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from relearn.decoding.items import CurveRow
from relearn.errors import InputError
from relearn.evaluation.checking import Checker
from relearn.evaluation.choice import Trade, measure_trade
from relearn.evaluation.curve import Curve, read_curve
from relearn.evaluation.equal_answers import Answers, compare_answers, round_factor
from relearn.evaluation.equal_skill import AtEqualSkill, check_same, compare_at_equal_skill
from relearn.evaluation.roles import ScoredTask
from relearn.evaluation.suite import SkillItem
from relearn.files import read_jsonl
from relearn.params import Params, load
from relearn.params.evaluate import Scoring
from relearn.params.finetune import Methods
from relearn.progress import say
from relearn.records import Prediction, Row
from relearn.report import frontier
from relearn.report.frontier import Runs
from relearn.sandbox.runner import ProgramLimits
from stages.curves import read_curves
from stages.paths import Paths
from stages.roles import list_tasks


def compare(params: Params, paths: Paths, document: Any) -> tuple[dict[str, Runs], list[AtEqualSkill]]:
    """The profile's settings, and at equal new skill those that can be paired, plain first; empty where there is nothing to
    compare. Prints what cannot be paired.
    """
    runs = frontier.read_runs(document, params.profile, params.lr, partial(_open_curve, paths))
    if not runs:
        say(
            f"frontier: no plain run at lr {params.lr:g} has a learn-forget curve (predict.scales), so nothing is compared"
        )
        return {}, []
    plain, *others = runs
    first = next(iter(runs[plain].curves.values()))
    fitting = {plain: runs[plain].curves}
    for name in others:
        try:
            for curve in runs[name].curves.values():
                check_same(name, curve, plain, first)
            fitting[name] = runs[name].curves
        except InputError as error:
            say(f"frontier: {error}; left out")
    chosen_by = {name: runs[name].chosen_by for name in fitting if name != plain}
    tasks = list_tasks(params)
    found = compare_at_equal_skill(fitting, plain, tasks, params.eval_3a.resamples, params.seed, chosen_by=chosen_by)
    told = [(one, read_params(runs[one.method].params)) for one in found]
    return runs, [
        replace(one, time=count_time(own, told[0][1], paths), command=name_command(own, paths)) for one, own in told
    ]


def read_params(found: Mapping[str, Any]) -> Params | None:
    """An experiment's parameters; None for those of another version's tree."""
    try:
        return Params.model_validate(dict(found))
    except ValueError:
        return None


def count_time(own: Params | None, plain: Params | None, paths: Paths) -> float | None:
    """The time of a method's first round as a multiple of plain's, counted in passes over tokens (`Method.cost`)."""
    from stages.plan.amounts import Amounts  # imports torch, which nothing else here needs

    if own is None or plain is None:
        return None
    tokens = []
    for one in (own, plain):
        rounds = Amounts(one.model_copy(update={"seeds": []}), paths).list_rounds()
        tokens.append(next(found.tokens for found in rounds if found.stage == "finetune_2b"))
    return tokens[0] / tokens[1] if tokens[1] else None


def name_command(own: Params | None, paths: Paths) -> str:
    """What trains an experiment's first round again from the files as they are."""
    if own is None:
        return "dvc exp run"
    here, profile, file = load(paths.root), load(paths.root, own.profile), f"profiles/{own.profile}.yaml"
    changed = {"method": own.method}
    changed |= {name: getattr(own, name) for name in ("profile", "lr") if getattr(own, name) != getattr(here, name)}
    before, after = (_list_leaves(one, own.method) for one in (profile, own))
    changed |= {f"{file}:{name}": value for name, value in after.items() if before.get(name) != value}
    settings = [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in changed.items()]
    return " ".join(["dvc exp run", *(f"-S '{one}'" if "/" in one else f"-S {one}" for one in settings)])


def _list_leaves(params: Params, method: str) -> dict[str, Any]:
    """What decides the first round besides the method's name, by dotted name."""
    tree = params.model_dump(mode="json")
    first = tree["finetune_2b"]
    groups = {"finetune": tree["finetune"], "finetune.lora": tree["finetune"].pop("lora")}
    groups |= {"finetune_2b.sample": first["sample"], f"finetune_2b.methods.{method}": first["methods"][method]}
    leaves = {f"{group}.{name}": value for group, values in groups.items() for name, value in values.items()}
    return leaves | {"finetune_2b.epochs": first["epochs"]}


def is_compared_by_answers(runs: Runs) -> bool:
    """Whether a setting's method has another loss than the likelihood."""
    return not Methods.learns_likelihood(str(runs.params.get("method")))


def find_factor(one: AtEqualSkill, seed: int) -> float | None:
    """The factor under which a method answers at equal new skill; None where it never has that."""
    factor = (one.chosen_by | one.factors).get(seed)
    return None if factor is None else round_factor(factor)


def add_answers(
    params: Params, paths: Paths, runs: Mapping[str, Runs], equal: list[AtEqualSkill]
) -> list[AtEqualSkill]:
    """Adds the answers of each method whose loss is not the likelihood, where there is one, and of plain."""
    chosen = [one for number, one in enumerate(equal) if not number or is_compared_by_answers(runs[one.method])]
    if len(chosen) < 2:
        return equal
    factors = {one.method: find_factor(one, params.seed) for one in chosen}
    answers: dict[str, list[Prediction]] = {}
    origin = ""
    for name, factor in factors.items():
        revision = None if factor is None else runs[name].answered.get((params.seed, factor))
        if factor is not None and revision is not None:
            with _fetch(paths, revision, paths.predicted("2b" if factor == 1 else f"2b@{factor:g}")) as file:
                if file is not None:
                    answers[name], origin = list(read_jsonl(file, Prediction)), origin or revision
    plain, scores = chosen[0].method, {}
    if plain in answers and len(answers) > 1:
        with _fetch(paths, origin, paths.held_out) as file:
            tests = {} if file is None else {row.id: row.tests for row in read_jsonl(file, Row) if row.tests}
        with _fetch(paths, origin, paths.skill_items) as file:
            items = [] if file is None else list(read_jsonl(file, SkillItem))
        settings = Scoring.join(params.eval_3a, params.sandbox)
        checker = Checker(items, settings.execute, ProgramLimits(settings.timeout_s, settings.memory_mb))
        scores = compare_answers(answers, list_tasks(params), tests, settings, params.seed, checker)
    return [
        replace(one, answers=Answers(factors[one.method], scores.get(one.method, []))) if one.method in factors else one
        for one in equal
    ]


def read_trade(paths: Paths, revision: str, tasks: Sequence[ScoredTask]) -> Trade:
    """What an experiment's first round did to the losses on validation rows, with the main seed."""
    new, old = ([task.name for task in tasks if task.is_new == is_new] for is_new in (True, False))
    with _fetch(paths, revision, paths.losses("2b")) as file:
        looks = [] if file is None else read_curves(file, [*new, *old])
    return measure_trade(looks, new, old, f"{paths.losses('2b').relative_to(paths.root)} of {revision[:9]}")


def _open_curve(paths: Paths, revision: str, seed: int | None) -> Curve | None:
    """The curve of an experiment; None where it has none."""
    with _fetch(paths, revision, paths.curve(seed)) as file:
        where = f"{paths.curve(seed).relative_to(paths.root)} of {revision[:9]}"
        return None if file is None else read_curve(read_jsonl(file, CurveRow), where)


@contextmanager
def _fetch(paths: Paths, revision: str, file: Path) -> Iterator[Path | None]:
    """A file of an experiment, out of DVC, or of the workspace; None where it has none.

    InputError where the experiment has it and neither the cache nor a remote has, such as after `dvc gc`.
    """
    if revision == frontier.WORKSPACE:
        yield file if file.is_file() else None
        return
    from dvc.api import DVCFileSystem
    from dvc_data.index import DataIndexDirError

    name, experiment = str(file.relative_to(paths.root)), DVCFileSystem(str(paths.root), rev=revision)
    with tempfile.TemporaryDirectory(prefix="relearn-") as folder:
        copied: Path | None = Path(folder) / file.name
        try:
            experiment.get_file(name, str(copied))
        except (DataIndexDirError, FileNotFoundError) as error:
            if isinstance(error, DataIndexDirError) or experiment.exists(name):
                raise InputError(
                    f"{name} of experiment {revision[:9]} is in no cache or remote of DVC; run `python -m stages.share` where "
                    "it is, or drop the experiment with `dvc exp remove`"
                ) from None
            copied = None
        yield copied
