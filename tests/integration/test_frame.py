"""The frame of the stages as processes: one line for a mistake, death with the parent, one at a time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]

FRAME = """
import sys, time
from pathlib import Path
from relearn.errors import InputError
from stages import die_with_parent, run
from stages.paths import Paths
def work(params, paths):
    {body}
die_with_parent()
run.run("trial", work, Paths.of(Path(sys.argv[1])))
"""


@pytest.fixture(autouse=True)
def parameters(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    (tmp_path / "params.yaml").write_text("profile: mini\nlr: 0.01\nseed: 1222\nmethod: plain\n")


def start(tmp_path: Path, body: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", FRAME.format(body=body), str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ('raise InputError("a.csv: no such file")', 1, "trial: a.csv: no such file\n"),
        (
            'raise OSError(28, "No space left on device", str(paths.root / "data" / "x"))',
            1,
            "trial: data/x: no space left on device; free some space and run again\n",
        ),
        (
            'raise PermissionError(13, "Permission denied", "/y")',
            1,
            "trial: /y: permission denied; make it writable and run again\n",
        ),
        ("raise KeyboardInterrupt", 130, "trial: stopped\n"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, body: str, status: int, message: str) -> None:
    process = start(tmp_path, body)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (status, message)
    assert not (tmp_path / ".cache" / "runs").exists()


def test_a_defect_keeps_its_traceback(tmp_path: Path) -> None:
    process = start(tmp_path, "raise ZeroDivisionError")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" in error


def test_a_run_is_logged_beside_the_outputs(tmp_path: Path) -> None:
    process = start(tmp_path, 'return {"rows": 3}')
    assert process.wait(timeout=60) == 0
    text = (tmp_path / ".cache" / "runs" / "trial.json").read_text()
    assert '"rows": 3' in text
    assert '"seconds"' in text


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux")
def test_a_stage_dies_with_its_parent_and_frees_its_lock(tmp_path: Path) -> None:
    # As when dvc is killed: a shell starts the stage, the shell gets SIGKILL.
    script = FRAME.format(body="(paths.root / 'pid').write_text(str(__import__('os').getpid())); time.sleep(120)")
    (tmp_path / "stage.py").write_text(script)
    shell = subprocess.Popen(
        ["sh", "-c", f"{sys.executable} {tmp_path}/stage.py {tmp_path}; true"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pid = int((tmp_path / "pid").read_text())
    assert alive(pid)
    shell.send_signal(signal.SIGKILL)
    shell.wait()
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert start(tmp_path, "return None").wait(timeout=60) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux")
def test_under_dvc_a_stage_dies_with_its_parent_from_its_first_import_on(tmp_path: Path) -> None:
    child = "import os, sys, time, stages; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(120)"
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"
    dvc = subprocess.Popen(
        [sys.executable, "-c", parent, child, str(tmp_path / "pid")],
        cwd=ROOT,
        env={**os.environ, "DVC_STAGE": "prepare"},
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pid = int((tmp_path / "pid").read_text())
    assert alive(pid)
    dvc.kill()
    dvc.wait()
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_no_shell_stays_between_dvc_and_a_stage() -> None:
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    assert {name: f"exec python -m stages.{name}" for name in stages} == {
        name: block["cmd"] for name, block in stages.items()
    }


def test_control_characters_of_a_row_do_not_reach_the_terminal(tmp_path: Path) -> None:
    body = "raise InputError('row \\x1b]0;title\\x07 \\u202e é …: mend it')"
    process = start(tmp_path, body)
    _, error = process.communicate(timeout=60)
    assert error == "trial: row ⟨U+001B⟩]0;title⟨U+0007⟩ ⟨U+202E⟩ é …: mend it\n"


def test_two_at_once_do_not_write_together(tmp_path: Path) -> None:
    body = (
        "marks = paths.root / 'marks'; marks.open('a').write('in\\n'); time.sleep(1); marks.open('a').write('out\\n')"
    )
    both = [start(tmp_path, body), start(tmp_path, body)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert (tmp_path / "marks").read_text().split() == ["in", "out", "in", "out"]
