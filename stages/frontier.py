"""The frontier of new skill against forgetting over all experiments that DVC knows of, and what their methods lose at equal
new skill, where they have a learn-forget curve (`predict.scales`).

    python -m stages.frontier               # report/frontier.html, metrics/frontier.csv for `dvc plots show`, and in
                                            # data/remedies/ the comparison, from which the report recommends
    python -m stages.frontier --markdown    # the tables on stdout as well
    python -m stages.frontier --write       # the table into docs/experiments.md as well

Reads `dvc exp show --json`; experiments of other profiles are left out, since their base models do not compare.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from relearn.decoding.items import CurveRow
from relearn.errors import InputError
from relearn.evaluation.checking import Checker
from relearn.evaluation.curve import Curve, read_curve
from relearn.evaluation.equal_answers import Answers, compare_answers, round_factor
from relearn.evaluation.equal_skill import AtEqualSkill, check_same, compare_at_equal_skill
from relearn.evaluation.suite import SkillItem
from relearn.files import read_jsonl, write_json, write_text
from relearn.params import Params, load
from relearn.params.evaluate import Scoring
from relearn.params.finetune import Methods
from relearn.progress import say
from relearn.records import Prediction, Row
from relearn.report import frontier, remedies
from relearn.report.frontier import Runs
from relearn.sandbox.runner import ProgramLimits
from stages.paths import Paths
from stages.report import describe_rounds, describe_tasks
from stages.roles import list_tasks
from stages.run import main


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes report/frontier.html and metrics/frontier.csv."""
    unknown = [argument for argument in sys.argv[1:] if argument not in ("--markdown", "--write")]
    if unknown:
        raise InputError(f"unknown argument {unknown[0]}; usage: python -m stages.frontier [--markdown] [--write]")
    return write(params, paths, "--markdown" in sys.argv[1:], "--write" in sys.argv[1:])


def write(params: Params, paths: Paths, show: bool = False, into_docs: bool = False) -> dict[str, Any]:
    """Writes the page, the points and the comparison of `params`' profile; `show` prints the tables."""
    words = describe_tasks(params, paths)
    document = show_experiments(paths)
    runs, equal = compare(params, paths, document)
    equal = _add_answers(params, paths, runs, equal)
    try:
        trials = frontier.read(document, words, params.profile)
    except InputError as error:
        if not equal:  # likelihoods can be compared where base scores nothing
            raise
        say(f"frontier: {error}")
        trials = []
    curves = {name: of_setting.curves for name, of_setting in runs.items()}
    write_text(paths.report / "frontier.html", frontier.render(trials, words, params.profile, equal, curves))
    if equal:
        plain = _read_params(runs[equal[0].method].params) or params
        found = {"settings": describe_rounds(plain), "methods": [one.plain() for one in equal]}
        write_json(paths.compared(params.profile), found)
    if trials:
        write_text(paths.metrics / "frontier.csv", frontier.as_csv(trials, words))
    if show:
        if trials:
            print(frontier.markdown(trials, words))
            print(frontier.describe_drift(trials, words))
        print(f"\n{remedies.markdown(equal, words)}" if equal else "")
    if into_docs:
        _write_into_docs(paths, frontier.markdown(trials, words))
    say(f"frontier: {len(trials)} models of {len({trial.setting for trial in trials})} settings; report/frontier.html")
    return {"models": len(trials)}


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
    found = compare_at_equal_skill(fitting, plain, list_tasks(params), params.eval_3a.resamples, params.seed)
    told = [(one, _read_params(runs[one.method].params)) for one in found]
    return runs, [
        replace(one, time=count_time(own, told[0][1], paths), command=name_command(own, paths)) for one, own in told
    ]


def _read_params(found: Mapping[str, Any]) -> Params | None:
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
    factor = one.factors.get(seed)
    return None if factor is None else round_factor(factor)


def _add_answers(
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
        settings = Scoring(**params.eval_3a.model_dump(exclude={"metrics", "most_lost"}), **params.sandbox.model_dump())
        checker = Checker(items, settings.execute, ProgramLimits(settings.timeout_s, settings.memory_mb))
        scores = compare_answers(answers, list_tasks(params), tests, settings, params.seed, checker)
    return [
        replace(one, answers=Answers(factors[one.method], scores.get(one.method, []))) if one.method in factors else one
        for one in equal
    ]


def _open_curve(paths: Paths, revision: str, seed: int | None) -> Curve | None:
    """The curve of an experiment; None where it has none."""
    with _fetch(paths, revision, paths.curve(seed)) as file:
        where = f"{paths.curve(seed).relative_to(paths.root)} of {revision[:9]}"
        return None if file is None else read_curve(read_jsonl(file, CurveRow), where)


@contextmanager
def _fetch(paths: Paths, revision: str, file: Path) -> Iterator[Path | None]:
    """A file of an experiment, out of the cache of dvc, or of the workspace; None where it has none."""
    if revision == frontier.WORKSPACE:
        yield file if file.is_file() else None
        return
    from dvc.api import DVCFileSystem

    with tempfile.TemporaryDirectory(prefix="relearn-") as folder:
        copied = Path(folder) / file.name
        try:
            DVCFileSystem(str(paths.root), rev=revision).get_file(str(file.relative_to(paths.root)), str(copied))
        except FileNotFoundError:
            yield None
            return
        yield copied


def _write_into_docs(paths: Paths, table: str) -> None:
    """Puts the table between the marks of docs/experiments.md."""
    page = paths.root / "docs" / "experiments.md"
    before, opening, rest = page.read_text(encoding="utf-8").partition("--write` -->\n")
    _, closing, after = rest.partition("<!-- /frontier -->")
    if not opening or not closing:
        raise InputError("docs/experiments.md: the marks <!-- frontier … --> and <!-- /frontier --> are missing")
    write_text(page, f"{before}{opening}\n{table}\n\n{closing}{after}")


def show_experiments(paths: Paths) -> Any:
    """What `dvc exp show --json` prints, over every commit's experiments."""
    result = subprocess.run(
        [sys.executable, "-m", "dvc", "exp", "show", "--json", "--all-commits"],
        cwd=paths.root,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        last = result.stderr.strip().splitlines()[-1:] or ["no message"]
        raise InputError(f"dvc exp show failed: {last[0]}; run it by hand to see more")
    return json.loads(result.stdout)


if __name__ == "__main__":
    main("frontier", work)
