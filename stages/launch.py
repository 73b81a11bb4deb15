"""Training and decoding on several devices: a stage starts itself again under torchrun, or under `accelerate launch`.

The stage's own process holds the lock, starts the workers and waits; the workers train or decode, and the first of them
writes (`relearn.launched`). A worker that finds fewer processes than the profile asks for ends at once: `accelerate
launch --cpu` with two processes runs one without saying so.
"""

from __future__ import annotations

from typing import Any

from relearn.errors import InputError
from relearn.launched import BY_ACCELERATE, find_rank, is_worker, run_in_processes, use_torchrun
from relearn.params import Params
from relearn.params.compute import AccelerateLaunch, Compute, Launch, SingleLaunch, TorchrunLaunch
from stages.paths import Paths


def count_processes(params: Params) -> int:
    """How many processes train, or decode."""
    return 1 if isinstance(params.launch, SingleLaunch) else params.launch.processes


def is_sharded(params: Params) -> bool:
    """Whether each process keeps a part of the base only."""
    return isinstance(params.launch, TorchrunLaunch) and params.launch.shard


def find_sharding(launch: Launch, paths: Paths) -> str | None:
    """How accelerate shards the adapter too, by its name for it; None where it does not."""
    kind = _read_kind(launch, paths) if isinstance(launch, AccelerateLaunch) else None
    return kind if kind in BY_ACCELERATE else None


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
    _, found = find_rank()
    if found != params.launch.processes:
        raise InputError(
            f"launch.processes: {params.launch.processes} processes are set, but {found} started; make "
            "num_processes of accelerate's configuration the same, or use kind torchrun"
        )
    return None


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
        command = use_torchrun(launch.processes)
    else:
        if (kind := find_sharding(launch, paths)) is not None and compute.device == "cpu":
            raise InputError(
                f"launch.config: {launch.config}: accelerate has no {kind} on a CPU, and would train without; use "
                "launch.kind torchrun with shard: true"
            )
        processes = f"--num_processes={launch.processes}"
        command = ["accelerate.commands.launch", "--config_file", str(paths.root / launch.config), processes]
    run_in_processes(command, f"stages.{stage}", [], compute.threads, paths.root, "launch")
