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
import re
import sys
from typing import Any

from ruamel.yaml import YAML

from relearn.errors import InputError
from relearn.evaluation.equal_skill import SHARE
from relearn.files import write_json, write_text
from relearn.params import Params
from relearn.progress import say
from relearn.report import frontier, remedies
from stages import lock
from stages.equal_skill import add_answers, compare, read_params
from stages.experiments import read_output
from stages.paths import Paths
from stages.report import describe_rounds, describe_tasks
from stages.run import main

LAST = "report"  # the stage that tracks every key, to show it
# where DVC keeps an experiment: by the commit that it started from, in two parts, and its name
EXPERIMENT = re.compile(r"refs/exps/([0-9a-f]{2})/([0-9a-f]{38})/[^/]+")


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
    equal = add_answers(params, paths, runs, equal)
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
        plain = read_params(runs[equal[0].method].params) or params
        found = {"settings": describe_rounds(plain), "share": SHARE, "methods": [one.plain() for one in equal]}
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


def _write_into_docs(paths: Paths, table: str) -> None:
    """Puts the table between the marks of docs/experiments.md."""
    page = paths.root / "docs" / "experiments.md"
    before, opening, rest = page.read_text(encoding="utf-8").partition("--write` -->\n")
    _, closing, after = rest.partition("<!-- /frontier -->")
    if not opening or not closing:
        raise InputError("docs/experiments.md: the marks <!-- frontier … --> and <!-- /frontier --> are missing")
    write_text(page, f"{before}{opening}\n{table}\n\n{closing}{after}")


def show_experiments(paths: Paths) -> Any:
    """What `dvc exp show --json` prints, over every commit's experiments and the commits that recorded another run.

    Raises InputError where git or DVC refuses, such as outside a repository.
    """
    # a commit at a time is read in full, which takes minutes for a history of hundreds
    revisions = [option for commit in _list_commits(paths) for option in ("--rev", commit)]
    document = json.loads(read_output(paths, "dvc", "exp", "show", "--json", *revisions))
    for state in document:
        if state["rev"] == frontier.WORKSPACE and (key := _find_change(paths)):
            say(f"frontier: your files are left out: {key} has changed since they were scored; `dvc repro` scores them")
            state["data"] = None
    return document


def _find_change(paths: Paths) -> str | None:
    """A parameter that is not the one with which the files in the workspace were made, as dvc.lock records it."""
    recorded = [params for name, params in lock.read_params(paths).items() if name != LAST]
    files = {file for params in recorded for file in params if (paths.root / file).is_file()}
    now = {file: YAML(typ="safe").load(paths.root / file) for file in files}
    return next(filter(None, (lock.find_change(params, now) for params in recorded)), None)


def _list_commits(paths: Paths) -> list[str]:
    """HEAD, the commits that experiments started from, and those that changed the scores, the newest first."""
    head = read_output(paths, "git", "rev-parse", "HEAD").split()
    experiments = read_output(paths, "git", "for-each-ref", "--format=%(refname)", "refs/exps").split()
    started = ["".join(found.groups()) for name in experiments if (found := EXPERIMENT.fullmatch(name))]
    scores = paths.scored("base").parent
    recorded = read_output(paths, "git", "log", "--format=%H", "--", str(scores)).split()
    return read_output(paths, "git", "rev-list", "--no-walk=sorted", *head, *started, *recorded).split()


if __name__ == "__main__":
    main("frontier", work)
