"""The composite action, its own steps run in a shell, and the commands of docs/ci.md."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT
from tests.unit.logs import made

ACTION: dict[str, Any] = YAML(typ="safe").load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS: dict[str, dict[str, Any]] = {step["name"]: step for step in ACTION["runs"]["steps"]}
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


def expand(text: str, inputs: dict[str, str]) -> str:
    """The few expressions that the action uses: an input, or the folder of the action where it is empty."""

    def value(match: re.Match[str]) -> str:
        for part in match[1].split("||"):
            name = part.strip()
            found = str(ROOT) if name == "github.action_path" else inputs[name.removeprefix("inputs.")]
            if found:
                return found
        return ""

    return EXPRESSION.sub(value, text)


def run_step(name: str, given: dict[str, str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """As a runner does: bash with -eo pipefail, the step's environment, and files for output and summary."""
    step = STEPS[name]
    inputs = {key: str(one.get("default", "")) for key, one in ACTION["inputs"].items()} | given
    environment = {
        **{key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG", "PIP_CONFIG_FILE")},
        **{key: expand(value, inputs) for key, value in step["env"].items()},
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }
    script = tmp_path / "step.sh"
    script.write_text(step["run"], encoding="utf-8")
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    """A folder with two logs, and the command where the action installs it."""
    made.binary(tmp_path / "eval" / "base", [1] * 300)
    made.binary(tmp_path / "eval" / "tuned", [0] * 30 + [1] * 270)
    command = tmp_path / "relearn" / "bin" / "relearn"
    command.parent.mkdir(parents=True)
    command.write_text(
        f"#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -c 'from relearn.cli import main; main()' \"$@\"\n"
    )
    command.chmod(0o755)
    return tmp_path


def test_inputs_reach_the_shell_through_the_environment_alone() -> None:
    assert ACTION["runs"]["using"] == "composite"
    for step in STEPS.values():
        assert "${{" not in step["run"]
        assert "uses" not in step, "another action would have to be pinned by its commit"
    assert "token" not in (ROOT / "action.yml").read_text().replace("no token", "").lower()


@pytest.mark.parametrize(
    ("gates", "status"), [("acc=20pt\n", 0), ("acc=20pt\n\nacc=5pt\n", 3), ("  acc=20pt\nacc=10%\n", 4), ("acc=2\n", 1)]
)
def test_the_steps_status_is_the_commands(ready: Path, gates: str, status: int) -> None:
    done = run_step(
        "Compare", {"base": "eval/base", "tuned": "eval/tuned", "require-within": gates, "out": "compared"}, ready
    )
    assert done.returncode == status, done.stderr
    assert (ready / "output").read_text() == f"status={status}\n"
    if status != 1:
        assert "## relearn:" in (ready / "summary.md").read_text()
        assert (ready / "compared" / "junit.xml").exists()


def test_what_an_input_holds_is_never_run(ready: Path) -> None:
    hostile = '$(touch pwned) `touch pwned` "; touch pwned; " \' --help'
    for name in ("base", "cluster", "require-within", "metric", "gates", "out"):
        run_step("Compare", {"base": "eval/base", "tuned": "eval/tuned"} | {name: hostile}, ready)
        assert not (ready / "pwned").exists(), name
    done = run_step("Compare", {"base": "--help", "tuned": "eval/tuned"}, ready)
    assert done.returncode == 1
    assert "no such file" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_light_core_is_installed_from_the_checkout(tmp_path: Path) -> None:
    made.binary(tmp_path / "eval" / "base", [1] * 300)
    made.binary(tmp_path / "eval" / "tuned", [1] * 300)
    done = run_step("Install the light core", {"python": sys.executable}, tmp_path)
    assert done.returncode == 0, done.stderr
    done = run_step("Compare", {"base": "eval/base", "tuned": "eval/tuned", "require-within": "acc=2pt"}, tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("torch", "pandas", "pyarrow"):
        absent = subprocess.run(
            [tmp_path / "relearn" / "bin" / "python", "-c", f"import {name}"], capture_output=True, check=False
        )
        assert absent.returncode == 1


def test_the_documented_command_runs(ready: Path) -> None:
    """The last command of docs/ci.md, with the environment that is there."""
    text = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^\.relearn/bin/relearn (compare .*?)\n```", text, re.DOTALL | re.MULTILINE)
    (ready / "gates.yaml").write_text("require_within: {acc: 20pt}\n")
    script = f"{ready}/relearn/bin/relearn {command.replace(' --cluster topic', '')}"
    done = subprocess.run(["bash", "-c", script], cwd=ready, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (ready / "summary.md").exists()
    assert (ready / "junit.xml").exists()


@pytest.mark.slow
def test_the_documented_dvc_stages_run(ready: Path) -> None:
    text = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
    (stages,) = re.findall(r"^```yaml\n(stages:\n.*?)^```", text, re.DOTALL | re.MULTILINE)
    (ready / "dvc.yaml").write_text(stages.replace(" --cluster topic", ""))
    gates = ready / "gates.yaml"
    gates.write_text("require_within: {acc: 20pt}\n")
    path = f"{ready / 'relearn' / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"

    def dvc(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dvc", *words],
            cwd=ready, env={**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1"}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert dvc("init", "--no-scm", "-q").returncode == 0
    done = dvc("repro")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "arith.acc.difference" in dvc("metrics", "show", "--md").stdout
    gates.write_text("require_within: {acc: 5pt}\n")
    done = dvc("repro")
    assert done.returncode != 0
    assert "Stage 'compare' didn't change" in done.stdout
