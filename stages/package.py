"""Copies the installed relearn to `.relearn/`, in a project that `relearn init` has made.

The stages of such a project depend on these copies, as those of a clone do on the code itself: after an upgrade, what
it changed runs again, and nothing else. Run by `dvc repro`, first and every time.
"""

from __future__ import annotations

import shutil

from relearn.params import Params
from stages.paths import Paths
from stages.run import main

COPIES = ".relearn"  # as in the project's dvc.yaml, which `stages.init` writes


def work(_: Params, paths: Paths) -> None:
    """Writes `.relearn/relearn` and `.relearn/stages`."""
    target = paths.root / COPIES
    shutil.rmtree(target, ignore_errors=True)
    for name in ("relearn", "stages"):
        unneeded = shutil.ignore_patterns("__pycache__", "project")
        shutil.copytree(paths.code / name, target / name, ignore=unneeded)


if __name__ == "__main__":
    main("package", work)
