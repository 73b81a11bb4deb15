"""Scratch clones of the working tree, with the tiny profile: what a user would have, and nothing of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.integration.forked import run_module

ROOT = Path(__file__).resolve().parents[2]


class Clone:
    """A copy of the repository in which commands run as a user would type them."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),  # no ~/.gitconfig, no hub cache, no DVC site cache of anyone
            "LANG": "C.UTF-8",
            # git must not guess a name from the host, either
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "user.useConfigOnly",
            "GIT_CONFIG_VALUE_0": "true",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "GOMP_SPINCOUNT": "0",
            "OMP_WAIT_POLICY": "passive",
        }

    def run(self, *command: str, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in the clone; with `check`, a failure fails the test and shows what it said."""
        result = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        if check:
            assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
        return result

    def python(self, module: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a module of the clone."""
        return self.run("python", "-m", module, *arguments, check=check)

    def forked(self, module: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a module of the clone without the seconds that importing large libraries takes (`forked.py`)."""
        result = run_module(module, arguments, self.folder, self.environment, 900)
        if check:
            assert result.returncode == 0, f"{module} {' '.join(arguments)}\n{result.stdout}\n{result.stderr}"
        return result

    def edit(self, name: str, old: str, new: str) -> None:
        """Replaces a piece of a file, which must be there."""
        file = self.folder / name
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{name} does not hold {old!r}"
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    def commit(self, message: str) -> None:
        """Commits everything, under a name that stays in this command."""
        self.run("git", "add", "--all")
        self.run("git", "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-qm", message)


def _source_files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return sorted(name for name in set(listed.stdout.split("\0")) if name and (ROOT / name).is_file())


def make(folder: Path, home: Path) -> Clone:
    """The working tree as it is (committed or not) as a fresh clone with the profile tiny, nothing run yet."""
    for name in _source_files():
        left_by_a_run = name == "dvc.lock" or name.startswith(("metrics/", "report/"))
        if left_by_a_run and not name.endswith(".gitignore"):
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    shutil.copy(ROOT / "tests" / "profiles" / "tiny.yaml", folder / "profiles" / "tiny.yaml")
    shutil.copytree(folder / "data" / "sources" / "mini", folder / "data" / "sources" / "tiny")
    home.mkdir(parents=True, exist_ok=True)
    clone = Clone(folder, home)
    (folder / "params.yaml").write_text("profile: tiny\nlr: 0.01\nseed: 1222\nmethod: plain\n")
    clone.run("git", "init", "-q", "-b", "main")
    clone.commit("The working tree")
    return clone


def make_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]) -> Clone:
    """The clone that `build` makes in a folder, by whichever of pytest-xdist's workers needs it first, for them all."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, whole = shared / name, shared / f"{name}.whole"
    with FileLock(shared / f"{name}.lock"):
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)  # what is there, a worker failed in
            folder.mkdir()
            build(folder)
            whole.touch()
    return Clone(folder / "clone", folder / "home")


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which nothing has run. Tests copy it: `scratch_clone`."""
    return make_once(tmp_path_factory, "pristine", lambda folder: make(folder / "clone", folder / "home"))


@pytest.fixture(scope="session")
def reproduced(pristine: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which the tiny chain has run, as `dvc repro` leaves it. Tests copy it: `run_clone`."""

    def build(folder: Path) -> None:
        clone = copy(pristine, folder)
        # one process for all stages saves the imports; dvc then takes what they wrote for its own
        clone.forked("tests.integration.chain")
        clone.run("dvc", "commit", "--force", "--quiet")
        assert clone.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."
        clone.commit("The tiny chain")

    return make_once(tmp_path_factory, "reproduced", build)


def copy(clone: Clone, into: Path) -> Clone:
    """A copy that shares nothing with the clone."""
    shutil.copytree(clone.folder, into / "clone", symlinks=True)
    home = into / "home"
    home.mkdir()
    return Clone(into / "clone", home)


@pytest.fixture
def scratch_clone(pristine: Clone, tmp_path: Path) -> Clone:
    """A clone of one's own in which nothing has run."""
    return copy(pristine, tmp_path)


@pytest.fixture
def run_clone(reproduced: Clone, tmp_path: Path) -> Clone:
    """A clone of one's own in which the tiny chain has run."""
    return copy(reproduced, tmp_path)
