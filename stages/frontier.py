"""The frontier of new skill against forgetting over all experiments that DVC knows of, and what their methods lose at equal
new skill, where they have a learn-forget curve (`predict.scales`).

    python -m stages.frontier               # report/frontier.html, metrics/frontier.csv for `dvc plots show`, equal_skill.json
    python -m stages.frontier --markdown    # the tables on stdout as well
    python -m stages.frontier --write       # the table into docs/experiments.md as well

Reads `dvc exp show --json`; experiments of other profiles are left out, since their base models do not compare.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from relearn.decoding.items import CurveRow
from relearn.errors import InputError
from relearn.evaluation.curve import Curve, read_curve
from relearn.evaluation.equal_skill import AtEqualSkill, check_same, compare_at_equal_skill
from relearn.files import read_jsonl, write_json, write_text
from relearn.params import Params
from relearn.progress import say
from relearn.report import frontier, remedies
from relearn.report.words import Words
from stages.paths import Paths
from stages.report import describe_tasks
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
    curves = frontier.read_curves(document, params.profile, params.lr, partial(_open_curve, paths))
    equal = _compare(params, words, curves)
    try:
        trials = frontier.read(document, words, params.profile)
    except InputError as error:
        if not equal:  # likelihoods can be compared where base scores nothing
            raise
        say(f"frontier: {error}")
        trials = []
    write_text(paths.report / "frontier.html", frontier.render(trials, words, params.profile, equal, curves))
    write_json(paths.metrics / "equal_skill.json", [one.plain() for one in equal])
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


def _compare(params: Params, words: Words, curves: dict[str, dict[int, Curve]]) -> list[AtEqualSkill]:
    """The methods at equal new skill, plain first; empty where there is nothing to compare. Prints what cannot be
    paired.
    """
    if not curves:
        say(
            f"frontier: no plain run at lr {params.lr:g} has a learn-forget curve (predict.scales), so nothing is compared"
        )
        return []
    plain, *others = curves
    first = next(iter(curves[plain].values()))
    fitting = {plain: curves[plain]}
    for name in others:
        try:
            for curve in curves[name].values():
                check_same(name, curve, plain, first)
            fitting[name] = curves[name]
        except InputError as error:
            say(f"frontier: {error}; left out")
    return compare_at_equal_skill(fitting, plain, list_tasks(params), params.eval_3a.resamples, params.seed)


def _open_curve(paths: Paths, revision: str, seed: int | None) -> Curve | None:
    """The curve of an experiment, out of the cache of dvc; None where it has none."""
    file = paths.curve(seed)
    if revision == "workspace":
        return read_curve(read_jsonl(file, CurveRow), str(file)) if file.is_file() else None
    from dvc.api import DVCFileSystem

    with tempfile.TemporaryDirectory(prefix="relearn-") as folder:
        copied = Path(folder) / file.name
        try:
            DVCFileSystem(str(paths.root), rev=revision).get_file(str(file.relative_to(paths.root)), str(copied))
        except FileNotFoundError:
            return None
        return read_curve(read_jsonl(copied, CurveRow), f"{file.relative_to(paths.root)} of {revision[:7]}")


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
