"""Every command of the documents that the pipeline understands, literally, in one user's clone, in their order.

`profiles/mini.yaml` and `profiles/files.yaml` are the tiny profile under those names (as in test_commands).
"""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.conftest import ROOT
from tests.documents import CHAIN, find_commands, runner
from tests.integration.conftest import Clone, copy
from tests.integration.test_commands import mini_is_tiny

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

STAND_INS = {"lr-2e-3": "kept", "--scale λ": "--scale 0.5"}
LATER = re.compile(r"dvc exp remove\b|git checkout\b|dvc exp apply\b")  # what the others still need
GIVEN = {"python -m stages.playground": "Say it.\n\n"}  # on standard input
# A model as small as tiny scores nothing on code: there is nothing to forget, and the program says so.
FAILS = {"python -m stages.frontier": "base scores nothing on code"}
COMMANDS = list(dict.fromkeys(c.text for c in find_commands() if str(runner(c.text)).startswith(CHAIN)))
COMMANDS.sort(key=lambda command: bool(LATER.match(command)))


@pytest.fixture(scope="module")
def user(pristine: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    clone = copy(pristine, tmp_path_factory.mktemp("reader"))
    mini_is_tiny(clone)
    shutil.copy(ROOT / "tests" / "profiles" / "before" / "mini.yaml", clone.folder / "profiles" / "own.yaml")
    clone.run("git", "config", "user.name", "T")
    clone.run("git", "config", "user.email", "t@example.org")
    clone.run("dvc", "repro")
    clone.commit("The first run")
    clone.run("dvc", "exp", "run", "--name", "kept", "-S", "lr=3e-3")
    return clone


@pytest.mark.parametrize("command", COMMANDS)
def test_a_documented_command_of_the_chain(user: Clone, command: str) -> None:
    line = command
    for named, there in STAND_INS.items():
        line = line.replace(named, there)
    line = re.sub(r"^relearn ", "python -m relearn.cli ", line)
    given = next((text for start, text in GIVEN.items() if line.startswith(start)), "")
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=user.folder,
        env=user.environment,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    refused = next((text for start, text in FAILS.items() if line.startswith(start)), None)
    if refused is None or done.returncode == 0:
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    else:
        assert refused in done.stderr
