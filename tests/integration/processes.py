"""The processes of a command that works in several: which they are, and when none is left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

VICTIMS = ("rank 1", "rank 0", "launcher", "starter")


def wait_until(
    happened: Callable[[], bool], starter: subprocess.Popen[str] | None = None, seconds: float = 300
) -> None:
    """Waits, as long as the process that started the others runs."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        assert starter is None or starter.poll() is None
        time.sleep(0.05)


def list_processes(folder: Path) -> list[int]:
    """All that run in the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").resolve() == folder.resolve():
                found.append(int(process.name))
    return found


def list_ranks(folder: Path) -> list[int]:
    """The processes that share the work, the first rank first."""
    found = {}
    for process in list_processes(folder):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{process}/environ").read_bytes().decode().split("\0")
            if rank := [line for line in lines if line.startswith("RANK=")]:
                found[int(rank[0].removeprefix("RANK="))] = process
    return [found[rank] for rank in sorted(found)]


def find_parent(process: int) -> int:
    """The process that started it."""
    return int(Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])


def kill_one(starter: subprocess.Popen[str], folder: Path, victim: str, told: str) -> None:
    """Kills one of VICTIMS, checks that the starter ends with one line, which begins with `told`, and that none goes on."""
    first, second = list_ranks(folder)
    launcher = find_parent(first)
    assert find_parent(launcher) == starter.pid
    process = {"rank 0": first, "rank 1": second, "launcher": launcher, "starter": starter.pid}[victim]
    os.kill(process, signal.SIGKILL)
    said = starter.communicate(timeout=120)[1]
    assert starter.returncode == (-signal.SIGKILL if victim == "starter" else 1), said
    if victim != "starter":
        assert said.splitlines()[-1].startswith(f"{told}: the processes ended with status")
    wait_until(lambda: not list_processes(folder))
