"""Training on several devices: a stage starts itself again under torchrun, or under `accelerate launch`.

The stage's own process holds the lock, starts the workers and waits; the workers train, and the first of them
writes. A worker that finds fewer processes than the profile asks for ends at once: `accelerate launch --cpu` with two
processes runs one without saying so.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from relearn.errors import InputError
from relearn.params import Params
from relearn.params.compute import AccelerateLaunch, SingleLaunch, TorchrunLaunch
from stages.paths import Paths

MARK = "RELEARN_LAUNCHED"  # in a worker's environment: the stage it works for


def is_worker() -> bool:
    """Whether this process is one of the workers."""
    return MARK in os.environ


def is_rank_zero() -> bool:
    """Whether this process writes: the only one, or the first worker."""
    return int(os.environ.get("RANK", "0")) == 0


def count_processes(params: Params) -> int:
    """How many processes train."""
    return 1 if isinstance(params.launch, SingleLaunch) else params.launch.processes


def run_in_workers(params: Params, paths: Paths, stage: str) -> dict[str, Any] | None:
    """Has workers do the stage where the profile asks for them: starts them, waits, and returns the run's facts.

    None where this process is to do the work itself. Raises InputError when a worker fails, or, in a worker, when the
    number of processes is not the profile's.
    """
    if isinstance(params.launch, SingleLaunch):
        return None
    if not is_worker():
        _start(params.launch, params.compute.threads, stage, paths)
        return {"processes": count_processes(params)}
    found = int(os.environ.get("WORLD_SIZE", "1"))
    if found != params.launch.processes:
        raise InputError(
            f"launch.processes: {params.launch.processes} processes are set, but {found} started; make "
            "num_processes of accelerate's configuration the same, or use kind torchrun"
        )
    return None


def _start(launch: TorchrunLaunch | AccelerateLaunch, threads: int, stage: str, paths: Paths) -> None:
    if isinstance(launch, TorchrunLaunch):
        command = ["torch.distributed.run", "--standalone", f"--nproc_per_node={launch.processes}"]
    else:
        config = paths.root / launch.config
        if not config.is_file():
            raise InputError(
                f"launch.config: {launch.config}: no such file; make it with "
                f"`accelerate config --config_file {launch.config}`"
            )
        processes = f"--num_processes={launch.processes}"
        command = ["accelerate.commands.launch", "--config_file", str(config), processes]
    environment = {**os.environ, MARK: stage, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, "-m", *command, "-m", f"stages.{stage}"],
        cwd=paths.root, env=environment, check=False,
    )  # fmt: skip
    if done.returncode:
        raise InputError(f"launch: the processes ended with status {done.returncode}; see the first one's output above")
