"""Whichever of the processes of a launched stage is killed, none of the others goes on."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
WAITS = """
import os, time
from pathlib import Path
Path(f"rank-{os.environ['RANK']}").write_text(f"{os.getpid()} {os.getppid()}")
time.sleep(600)
"""
STARTS = """
from relearn.errors import InputError
from relearn.params.compute import Compute, TorchrunLaunch
from stages import launch
from stages.paths import Paths
from pathlib import Path
try:
    launch._start(
        TorchrunLaunch(kind="torchrun", shard=False, processes=2),
        Compute(device="cpu", threads=1, precision="fp32", quantize="none"), "waits", Paths.of(Path.cwd()),
    )
except InputError as error:
    raise SystemExit(f"one line: {error}")
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("victim", ["rank", "launcher", "stage"])
def test_no_process_is_left(tmp_path: Path, victim: str) -> None:
    shutil.copytree(ROOT / "stages", tmp_path / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "stages" / "waits.py").write_text(WAITS)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    started = [tmp_path / "rank-0", tmp_path / "rank-1"]
    with subprocess.Popen(
        [sys.executable, "-c", STARTS], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as stage:
        while not all(file.exists() and file.read_text() for file in started):
            assert stage.poll() is None
            time.sleep(0.05)
        (first, launcher), (second, same) = (map(int, file.read_text().split()) for file in started)
        assert launcher == same
        os.kill({"rank": second, "launcher": launcher, "stage": stage.pid}[victim], signal.SIGKILL)
        said = stage.communicate(timeout=120)[1]  # the others hold its other end as long as they live
    if victim != "stage":
        assert said.splitlines()[-1].startswith("one line: launch: the processes ended with status")
    for process in (first, second, launcher):
        assert _ends(process)


def _ends(process: int, seconds: float = 20) -> bool:
    for _ in range(int(seconds / 0.1)):
        with contextlib.suppress(FileNotFoundError):
            # a zombie has ended: in a container none may wait for it
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.1)
                continue
        return True
    return False
