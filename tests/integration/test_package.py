"""The wheel and the sdist in environments of their own: the light core starts fast and needs no torch."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.integration.conftest import Clone, _source_files
from tests.unit.logs import made

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

HEAVY = ("torch", "transformers", "datasets", "evaluate", "dvc", "pandas", "pyarrow", "peft")


def run(*command: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=clean, capture_output=True, text=True, check=False
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of the working tree."""
    folder = tmp_path_factory.mktemp("built")
    tree = folder / "tree"
    for name in _source_files():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-m", "venv", folder / "builder", cwd=folder)
    run(folder / "builder" / "bin" / "python", "-m", "pip", "install", "-q", "build", cwd=folder)
    run(folder / "builder" / "bin" / "python", "-m", "build", "-o", folder, tree, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def light(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment with the wheel and nothing that it does not ask for."""
    folder = tmp_path_factory.mktemp("light")
    run(sys.executable, "-m", "venv", folder / "env", cwd=folder)
    (wheel,) = built.glob("*.whl")
    run(folder / "env" / "bin" / "python", "-m", "pip", "install", "-q", wheel, cwd=folder)
    return folder / "env" / "bin"


def test_the_wheel_and_the_sdist_hold_what_they_should(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"relearn/py.typed", "relearn/cli.py", "stages/run.py"} <= names
    assert any(name.startswith("relearn/report/templates/") for name in names)
    assert "relearn/compare/logs/compare.html.j2" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {"dvc.yaml", ".dvc/config", ".dvcignore", "profiles/mini.yaml", "data/sources/mini/probes.yaml"} <= {
        name.removeprefix("stages/project/") for name in names
    }
    assert not any(name.startswith(("tests/", "bench/")) for name in names)
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        assert any(name.endswith("/LICENSE") for name in archive.getnames())
    (metadata,) = (name for name in names if name.endswith("METADATA"))
    assert "\nName: relearn-llm\n" in zipfile.ZipFile(wheel).read(metadata).decode()


@pytest.mark.parametrize("name", HEAVY)
def test_the_light_core_brings_nothing_heavy(light: Path, name: str, tmp_path: Path) -> None:
    assert run(light / "python", "-c", f"import {name}", cwd=tmp_path, check=False).returncode == 1


def test_help_starts_at_once(light: Path, tmp_path: Path) -> None:
    run(light / "relearn", "repair", "--help", cwd=tmp_path)  # writes the bytecode
    times = []
    for _ in range(5):
        started = time.perf_counter()
        said = run(light / "relearn", "repair", "--help", cwd=tmp_path).stdout
        times.append(time.perf_counter() - started)
        assert "--schema" in said
    assert min(times) <= 0.5
    everything = run(light / "relearn", "--help", cwd=tmp_path).stdout
    assert all(name in everything for name in ("repair", "score", "compare"))


def test_repair_and_score_work_without_torch(light: Path, tmp_path: Path) -> None:
    (tmp_path / "raw.txt").write_text("Sure! {'agree': 'Yes, it is.', 'disagree': 'No, it is not.',}")
    said = run(light / "relearn", "repair", "raw.txt", "--fields", "agree,disagree", cwd=tmp_path)
    assert json.loads(said.stdout)["fields"] == {"agree": "Yes, it is.", "disagree": "No, it is not."}
    rows = [
        {"prompt": f"Name {n}.", "reference": f"The number {n}.", "prediction": f"A number: {n}."} for n in range(200)
    ]
    (tmp_path / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    scored = run(light / "relearn", "score", "predictions.jsonl", "--task", "general", cwd=tmp_path)
    assert 0 < json.loads(scored.stdout)["rouge_l"] < 1
    assert "models" in scored.stderr, "BERTScore is left out, and the message names the extra"


def test_the_readmes_comparison_of_logs_needs_nothing_else(light: Path, tmp_path: Path) -> None:
    for model in ("base", "tuned"):
        made.binary(tmp_path / "logs" / model, [1] * 300)
    (line,) = re.findall(r"^\$ relearn (compare --logs .*)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    times = []
    for _ in range(3):  # the first writes the bytecode
        started = time.perf_counter()
        done = run(light / "relearn", *line.split(), cwd=tmp_path)
        times.append(time.perf_counter() - started)
    assert "proven within 2pt" in done.stderr
    assert (tmp_path / "compared" / "compare.html").exists()
    assert min(times) <= 1.5


def test_a_plan_and_a_project_are_made_without_torch(light: Path, tmp_path: Path) -> None:
    said = run(light / "relearn", "plan", "--prompts", "400", "--json", cwd=tmp_path).stdout
    assert 0.05 < json.loads(said)["detection"][0]["detectable"] < 0.1
    said = run(light / "relearn", "init", "own", cwd=tmp_path).stdout
    assert said.splitlines()[1:] == [
        "  cd own", '  pip install "relearn-llm[pipeline]" -r requirements.txt', "  dvc repro"
    ]  # fmt: skip
    lacking = run(light / "relearn", "plan", cwd=tmp_path / "own", check=False).stderr
    assert lacking.startswith("plan: torch is not installed")


def test_compare_says_which_extra_it_lacks(light: Path, tmp_path: Path) -> None:
    (tmp_path / "old.jsonl").write_text('{"instruction": "Say a.", "response": "a"}\n')
    done = run(
        light / "relearn", "compare", "--base", "a", "--tuned", "b", "--old", "old.jsonl", "--new", "old.jsonl",
        "--out", "out",
        cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "relearn-llm[models]" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


PURELIB = "import sysconfig; print(sysconfig.get_paths()['purelib'])"


@pytest.fixture(scope="module")
def own(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A project that the wheel's `relearn init` has made, and its environment: this one's libraries, the wheel's code."""
    folder = tmp_path_factory.mktemp("own")
    run(sys.executable, "-m", "venv", folder / "env", cwd=folder)
    python = folder / "env" / "bin" / "python"
    packages, shared = (run(one, "-c", PURELIB, cwd=folder).stdout.strip() for one in (python, sys.executable))
    (Path(packages) / "shared.pth").write_text(shared)
    (wheel,) = built.glob("*.whl")
    run(python, "-m", "pip", "install", "-q", "--no-deps", "--force-reinstall", wheel, cwd=folder)
    said = run(python.parent / "relearn", "init", "project", cwd=folder).stdout
    assert said.splitlines()[1:] == ["  cd project", "  dvc repro"]
    (folder / "home").mkdir()
    project = Clone(folder / "project", folder / "home")
    project.environment["PATH"] = f"{python.parent}{os.pathsep}{project.environment['PATH']}"
    assert packages in project.run("python", "-c", "import stages; print(stages.__file__)").stdout
    return project


def test_a_new_project_runs_from_the_installed_package(own: Clone) -> None:
    assert "profile mini, lr 0.01, seed 1222: all parameters are valid" in own.python("stages.parameters").stdout
    shutil.copy(ROOT / "tests" / "profiles" / "tiny.yaml", own.folder / "profiles")
    shutil.copytree(own.folder / "data" / "sources" / "mini", own.folder / "data" / "sources" / "tiny")
    own.edit("params.yaml", "profile: mini", "profile: tiny")
    own.run("dvc", "repro")  # git has no commit yet, and needs none
    assert "| 2c " in (own.folder / "report" / "table_3a.md").read_text(encoding="utf-8")
    assert "site-packages" not in (own.folder / "dvc.lock").read_text(encoding="utf-8")
    # an upgrade runs again what it has changed
    metrics = own.run("python", "-c", "import relearn.metrics; print(relearn.metrics.__path__[0])").stdout.strip()
    with (Path(metrics) / "codebleu.py").open("a") as file:
        file.write("# better\n")
    ran = re.findall(r"^Running stage '(\w+)'", own.run("dvc", "repro").stdout, re.MULTILINE)
    assert ran == ["package", "eval_3a", "report"]
