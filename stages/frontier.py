"""The frontier of new skill against forgetting over all experiments that DVC knows of.

    python -m stages.frontier               # report/frontier.html, and metrics/frontier.csv for `dvc plots show`
    python -m stages.frontier --markdown    # the table on stdout as well
    python -m stages.frontier --write       # the table into docs/experiments.md as well

Reads `dvc exp show --json`; experiments of other profiles are left out, since their base models do not compare.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from relearn.errors import InputError
from relearn.files import write_text
from relearn.params import Params
from relearn.progress import say
from relearn.report import frontier
from stages.paths import Paths
from stages.report import describe_tasks
from stages.run import main


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes report/frontier.html and metrics/frontier.csv."""
    unknown = [argument for argument in sys.argv[1:] if argument not in ("--markdown", "--write")]
    if unknown:
        raise InputError(f"unknown argument {unknown[0]}; usage: python -m stages.frontier [--markdown] [--write]")
    words = describe_tasks(params, paths)
    trials = frontier.read(_show_experiments(paths), words, params.profile)
    write_text(paths.report / "frontier.html", frontier.render(trials, words))
    write_text(paths.metrics / "frontier.csv", frontier.as_csv(trials, words))
    if "--markdown" in sys.argv[1:]:
        print(frontier.markdown(trials, words))
        print(frontier.describe_drift(trials, words))
    if "--write" in sys.argv[1:]:
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


def _show_experiments(paths: Paths) -> Any:
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
