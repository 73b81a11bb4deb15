"""Runs one experiment of DVC for each learning rate, and draws the frontier.

    python -m stages.sweep 5e-4 1e-3 2e-3               # one after the other
    python -m stages.sweep 5e-4 1e-3 2e-3 --part 1/2    # one machine's part (docs/scale.md); draws nothing
    python -m stages.sweep 5e-4 1e-3 2e-3 --queue 2     # through DVC's queue, two at a time

Each runs in a copy of the repository. An experiment of the same name is replaced; what it had trained comes out of
DVC's cache. One that fails does not stop the others. DVC's queue may hang, or forget a run that failed: what did not
finish is named, and runs again without `--queue`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from relearn.errors import InputError
from relearn.params import Params, load
from relearn.progress import say
from stages import frontier
from stages.experiments import TO_SHARE, ask_dvc, list_names, run_dvc, take_part
from stages.paths import Paths
from stages.run import main

USAGE = "usage: python -m stages.sweep RATE ... [--part WHICH/OF] [--queue JOBS]"


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Runs the rates of this machine's part; without a part, then writes and prints what `stages.frontier` does."""
    rates, part, jobs = read_arguments(sys.argv[1:])
    for rate in rates:  # before the first one runs
        load(paths.root, changes={"lr": float(rate)})
    own = take_part(rates, part)
    failed = _run_in_turn(own, paths) if jobs is None else _run_queue(own, paths, jobs)
    if failed:
        raise InputError(
            f"{', '.join(failed)} did not finish, {len(own) - len(failed)} of {len(own)} did; fix what dvc reports above "
            f"and run again{'' if jobs is None else ', without --queue'}"
        )
    if part is None:
        frontier.write(params, paths, show=True)
    else:
        say(f"sweep: {len(own)} of {len(rates)} rates are part {part}; {TO_SHARE}")
    return {"run": len(own)}


def read_arguments(given: Sequence[str]) -> tuple[list[str], str | None, int | None]:
    """(rates as they were typed, part, jobs of the queue). InputError for anything else."""
    parser = argparse.ArgumentParser("sweep", exit_on_error=False, add_help=False, allow_abbrev=False)
    parser.add_argument("rates", nargs="*")
    parser.add_argument("--part")
    parser.add_argument("--queue", type=int)
    try:
        found, unknown = parser.parse_known_args(list(given))
        for rate in found.rates:
            float(rate)
    except (argparse.ArgumentError, ValueError) as error:
        raise InputError(f"{error}; {USAGE}") from None
    if unknown or not found.rates or (found.queue is not None and found.queue < 1):
        raise InputError(f"{' '.join(given)}: {USAGE}")
    return list(dict.fromkeys(found.rates)), found.part, found.queue


def _run_in_turn(rates: Sequence[str], paths: Paths) -> list[str]:
    """Runs each, and returns the names of those that failed."""
    there = list_names(paths)
    failed = []
    for rate in rates:
        name = f"lr-{rate}"
        if name in there:
            run_dvc(paths, "exp", "remove", "--quiet", name)
        say(f"sweep: {name}")
        if ask_dvc(paths, "exp", "run", "--temp", "--name", name, "--set-param", f"lr={rate}"):
            failed.append(name)
    return failed


def _run_queue(rates: Sequence[str], paths: Paths, jobs: int) -> list[str]:
    """Queues all, runs the queue, and returns the names of those that are not there afterwards."""
    there = list_names(paths)
    names = [f"lr-{rate}" for rate in rates]
    for rate, name in zip(rates, names, strict=True):
        if name in there:
            run_dvc(paths, "exp", "remove", "--quiet", name)
        run_dvc(paths, "exp", "run", "--queue", "--name", name, "--set-param", f"lr={rate}")
    ask_dvc(paths, "exp", "run", "--run-all", "--jobs", str(jobs))
    done = list_names(paths)
    return [name for name in names if name not in done]


if __name__ == "__main__":
    main("sweep", work)
