"""Work in several processes: a command starts itself again under a launcher and waits; each process does its part.

The process that starts the others holds locks and keeps logs; the first of the others, rank zero, writes. Whichever is
killed, none of the others goes on.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from relearn.errors import InputError
from relearn.workers import end_with

MARK = "RELEARN_LAUNCHED"  # in the environment of one of several processes: the module that it runs
# How accelerate tells its processes that it shards, by the distributed_type of its configuration.
BY_ACCELERATE = {"FSDP": "ACCELERATE_USE_FSDP", "DEEPSPEED": "ACCELERATE_USE_DEEPSPEED"}
INIT = 1  # the process that takes over those whose parent has ended


def is_worker() -> bool:
    """Whether this process is one of those that a launcher has started."""
    return MARK in os.environ


def is_rank_zero() -> bool:
    """Whether this process writes, and speaks to the user: the only one, or the first of several."""
    return find_rank()[0] == 0


def find_rank() -> tuple[int, int]:
    """Which of how many processes this one is, as the launcher says; (0, 1) where this program has started none.

    A cluster may set the launcher's variables for every program.
    """
    if not is_worker():
        return 0, 1
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def end_with_launcher() -> None:
    """Asks the kernel to end this process, which a launcher has started, when the launcher ends. To be called early."""
    if os.getppid() == INIT:  # it has ended already
        sys.exit(1)
    end_with(os.getppid())


def use_torchrun(processes: int) -> list[str]:
    """The module and arguments that start so many processes on this machine."""
    return ["torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]


def run_in_processes(
    launcher: Sequence[str], module: str, arguments: Sequence[str], threads: int, folder: Path, key: str
) -> None:
    """Runs a module in the processes that `launcher` starts, in `folder`, and waits; each has so many CPU threads.

    InputError when one of them fails or is killed; `key` is what asked for several, as the message names it.
    """
    environment = {**os.environ, MARK: module, "OMP_NUM_THREADS": str(threads)}
    # The launcher dies with this process, and the others with it (`end_with_launcher`).
    done = subprocess.run(
        [sys.executable, "-m", *launcher, "-m", module, *arguments],
        cwd=folder, env=environment, check=False, preexec_fn=partial(end_with, os.getpid()),
    )  # fmt: skip
    if done.returncode:
        raise InputError(f"{key}: the processes ended with status {done.returncode}; see the first one's output above")


def end_together() -> None:
    """Ends the process group once all processes are done: its threads, left running, may abort an exit."""
    import torch.distributed

    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
