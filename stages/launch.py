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
from relearn.params.compute import AccelerateLaunch, Compute, SingleLaunch, TorchrunLaunch
from relearn.training.method import load_method
from relearn.training.shard import BY_ACCELERATE
from stages import MARK, die_with_parent
from stages.paths import Paths


def is_worker() -> bool:
    """Whether this process is one of the workers."""
    return MARK in os.environ


def is_rank_zero() -> bool:
    """Whether this process writes: the only one, or the first worker."""
    return int(os.environ.get("RANK", "0")) == 0


def count_processes(params: Params) -> int:
    """How many processes train."""
    return 1 if isinstance(params.launch, SingleLaunch) else params.launch.processes


def is_sharded(params: Params) -> bool:
    """Whether each process keeps a part of the base only."""
    return isinstance(params.launch, TorchrunLaunch) and params.launch.shard


def check_method(params: Params, paths: Paths) -> None:
    """Raises InputError for a method that reads the adapter as it started, where accelerate shards the adapter too."""
    if (
        not isinstance(params.launch, AccelerateLaunch)
        or (kind := _read_kind(params.launch, paths)) not in BY_ACCELERATE
    ):
        return
    method = load_method(params.method, getattr(params.finetune_2b.methods, params.method), params.seed)
    if method.compares:
        raise InputError(
            f"method: {params.method} compares the adapter with how it started, which {kind} of accelerate shards; use "
            "launch.kind torchrun with shard: true, or method plain"
        )


def run_in_workers(params: Params, paths: Paths, stage: str) -> dict[str, Any] | None:
    """Has workers do the stage where the profile asks for them: starts them, waits, and returns the run's facts.

    None where this process is to do the work itself. Raises InputError when a worker fails, or, in a worker, when the
    number of processes is not the profile's.
    """
    if isinstance(params.launch, SingleLaunch):
        return None
    if not is_worker():
        _start(params.launch, params.compute, stage, paths)
        return {"processes": count_processes(params)}
    found = int(os.environ.get("WORLD_SIZE", "1"))
    if found != params.launch.processes:
        raise InputError(
            f"launch.processes: {params.launch.processes} processes are set, but {found} started; make "
            "num_processes of accelerate's configuration the same, or use kind torchrun"
        )
    return None


def end_together() -> None:
    """Ends the process group once all workers are done: its threads, left running, may abort an exit."""
    import torch.distributed

    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def _read_kind(launch: AccelerateLaunch, paths: Paths) -> str:
    """The distributed_type of accelerate's configuration."""
    from accelerate.commands.config.config_args import load_config_from_file

    config = paths.root / launch.config
    if not config.is_file():
        raise InputError(
            f"launch.config: {launch.config}: no such file; make it with "
            f"`accelerate config --config_file {launch.config}`"
        )
    try:
        return str(load_config_from_file(str(config)).distributed_type.value)
    except Exception as error:  # of two libraries, about a file that anyone may have written
        raise InputError(
            f"launch.config: {launch.config}: accelerate cannot read it ({' '.join(str(error).split())[:200]}); fix it"
        ) from error


def _start(launch: TorchrunLaunch | AccelerateLaunch, compute: Compute, stage: str, paths: Paths) -> None:
    if isinstance(launch, TorchrunLaunch):
        command = ["torch.distributed.run", "--standalone", f"--nproc_per_node={launch.processes}"]
    else:
        if (kind := _read_kind(launch, paths)) in BY_ACCELERATE and compute.device == "cpu":
            raise InputError(
                f"launch.config: {launch.config}: accelerate has no {kind} on a CPU, and would train without; use "
                "launch.kind torchrun with shard: true"
            )
        processes = f"--num_processes={launch.processes}"
        command = ["accelerate.commands.launch", "--config_file", str(paths.root / launch.config), processes]
    environment = {**os.environ, MARK: stage, "OMP_NUM_THREADS": str(compute.threads)}
    # The launcher dies with this process, and its workers with it (`stages.die_with_parent`).
    done = subprocess.run(
        [sys.executable, "-m", *command, "-m", f"stages.{stage}"],
        cwd=paths.root, env=environment, check=False, preexec_fn=die_with_parent,
    )  # fmt: skip
    if done.returncode:
        raise InputError(f"launch: the processes ended with status {done.returncode}; see the first one's output above")
