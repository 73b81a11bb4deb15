from __future__ import annotations

import os
import signal
import subprocess
import sys

from relearn.endpoint import owner

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]


def named(process: int) -> str:
    """The name this process would have if it had that number."""
    mine = owner.name_self().split("/")
    return "/".join([mine[0], str(process), owner._started(process) or "?", mine[3]])


def test_this_process_lives_and_no_two_names_are_equal() -> None:
    name = owner.name_self()
    assert not owner.is_dead(name)
    assert name != owner.name_self()


def test_a_killed_process_is_dead_even_as_a_zombie() -> None:
    child = subprocess.Popen(SLEEP, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    name = named(child.pid)
    assert not owner.is_dead(name)
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, not yet reaped
    assert owner.is_dead(name)
    child.wait()
    child.stdout.close()
    assert owner.is_dead(name)


def test_a_process_number_that_came_round_again_is_another_process() -> None:
    parts = owner.name_self().split("/")
    parts[2] = str(int(parts[2]) - 1)
    assert owner.is_dead("/".join(parts))


def test_nothing_is_known_of_other_machines() -> None:
    parts = owner.name_self().split("/")
    assert not owner.is_dead("/".join(["another-boot:1", *parts[1:]]))
    assert not owner.is_dead("strange")
