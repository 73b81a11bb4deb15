"""Sends this machine's experiments to the others, and fetches theirs: through a git remote and DVC's remote.

    python -m stages.share            # the git remote is origin
    python -m stages.share cluster

Of this commit's experiments, git carries parameters and scores, and DVC's remote what is large. Fetched are parameters and
scores; `stages.frontier` reads the learn-forget curves from DVC's remote, and `dvc exp pull origin NAME` gets the models
of one, before `dvc exp apply NAME`. Where two machines have run an experiment of one name, each keeps its own and dvc says so.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from relearn.errors import InputError
from relearn.params import Params
from relearn.progress import say
from stages.experiments import list_names, run_dvc
from stages.paths import Paths
from stages.run import main


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Pushes the experiments of HEAD with what they made, then pulls those of the remote."""
    if len(sys.argv) > 2:
        raise InputError(f"{' '.join(sys.argv[1:])}: usage: python -m stages.share [GIT_REMOTE]")
    remote = (*sys.argv[1:], "origin")[0]
    if not _ask(paths, "git", "remote", "get-url", remote):
        raise InputError(
            f"no git remote is named {remote}; `git remote add {remote} URL` adds one, `git remote` lists those there are"
        )
    if not _ask(paths, sys.executable, "-m", "dvc", "config", "core.remote"):
        raise InputError("DVC has no default remote; `dvc remote add --default NAME URL` adds one (docs/scale.md)")
    before = list_names(paths)
    if before:
        run_dvc(paths, "exp", "push", remote)
    run_dvc(paths, "exp", "pull", "--no-cache", remote)
    after = list_names(paths)
    say(f"share: {len(before)} experiments were here, {len(after - before)} have come from {remote}")
    return {"sent": len(before), "fetched": len(after - before)}


def _ask(paths: Paths, *command: str) -> str:
    """What a command prints; nothing where it fails."""
    return subprocess.run(command, cwd=paths.root, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    main("share", work)
