"""What the commands that run many experiments share: which part of them is this machine's, and how dvc is asked."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Literal, TypeVar

from relearn.errors import InputError
from stages.paths import Paths

TO_SHARE = "`python -m stages.share` sends them, and fetches those of other machines"  # said at the end of a part
One = TypeVar("One")


def take_part(everything: Sequence[One], part: str | None) -> list[One]:
    """Those of `everything` that `part` names: "2/3" is the second, the fifth, and so on; None is all of them."""
    if part is None:
        return list(everything)
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", part)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise InputError(f"--part {part}: expected WHICH/OF, such as 1/2 on one of two machines and 2/2 on the other")
    return list(everything)[int(found[1]) - 1 :: int(found[2])]


def ask_dvc(paths: Paths, *arguments: str) -> int:
    """Runs dvc, whose output is seen, and returns its status."""
    return subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=paths.root, check=False).returncode


def run_dvc(paths: Paths, *arguments: str) -> None:
    """Runs dvc, whose output is seen. InputError when it fails."""
    if status := ask_dvc(paths, *arguments):
        raise InputError(
            f"dvc {' '.join(arguments[:2])} ended with status {status}, for the reason above; the same command goes on "
            "from there (an experiment sees only files that git knows: `git add` new ones)"
        )


def list_names(paths: Paths) -> set[str]:
    """The names of the experiments of this commit."""
    return set(read_output(paths, "dvc", "exp", "list", "--name-only").split())


def read_output(paths: Paths, program: Literal["dvc", "git"], *arguments: str) -> str:
    """What dvc or git prints. InputError, with the last line of what it says, when it fails."""
    command = [sys.executable, "-m", "dvc"] if program == "dvc" else ["git"]
    ended = subprocess.run([*command, *arguments], cwd=paths.root, capture_output=True, text=True, check=False)
    if ended.returncode:
        asked = " ".join([program, *arguments[: 2 if program == "dvc" else 1]])
        last = ended.stderr.strip().splitlines()[-1:] or ["no message"]
        raise InputError(f"{asked} failed: {last[0]}; run it by hand to see more")
    return ended.stdout
