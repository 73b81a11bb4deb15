"""Sharded training: each process keeps its part of the frozen weights, and gathers a block's when it computes with them.

This is FSDP2 (Zhao et al. 2023, arXiv 2304.11277; `torch.distributed.fsdp.fully_shard`), on GPUs over NCCL and on CPUs
over gloo. The adapter is not shared out: every process holds all of its few weights, and DistributedDataParallel
keeps them equal. So methods read and swap trained weights as in one process, and a checkpoint is one process's too.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from relearn.errors import InputError
from relearn.launched import BY_ACCELERATE

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def is_left_to_accelerate() -> bool:
    """Whether accelerate gives each process its part of the weights, in one of its processes."""
    return any(os.environ.get(name, "").lower() == "true" for name in BY_ACCELERATE.values())


def share_out(model: Any, device: torch.device, processes: int) -> None:
    """Shares the frozen weights of `model`, an adapted base, out among the processes; each part goes to `device`.

    All processes call it with the same model. Raises InputError for a base that does not say what its blocks are.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (processes,))
    whole = {weight for weight in model.parameters() if weight.requires_grad}
    for weight in whole:
        weight.data = weight.data.to(device)
    base = model.get_base_model()
    blocks = [module for module in base.modules() if type(module).__name__ in (base._no_split_modules or ())]
    if not blocks:
        raise InputError(f"launch.shard: a {type(base).__name__} does not say what its blocks are; use shard: false")
    for block in reversed(blocks):  # inner ones first
        fully_shard(block, mesh=mesh, ignored_params=whole)
    # What is in no block. Were it kept after a forward pass, writing a checkpoint would give it up in the first process
    # alone, and the next pass would wait for ever.
    fully_shard(model, mesh=mesh, ignored_params=whole, reshard_after_forward=True)


def share_gradients(model: Any) -> Any:
    """The sharded model in the wrapper that averages the adapter's gradients over the processes."""
    from torch.nn.parallel import DistributedDataParallel

    frozen = [name for name, weight in model.named_parameters() if not weight.requires_grad]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(
        model, [*frozen, *(name for name, _ in model.named_buffers())]
    )
    return DistributedDataParallel(model)


def is_shared_out(weight: Tensor) -> bool:
    """Whether this process holds a part of the weight only."""
    from torch.distributed.tensor import DTensor

    return isinstance(weight, DTensor)


def count_bytes(model: Any) -> tuple[int, int]:
    """The bytes of the weights that this process holds, and those of the whole model."""
    held = whole = 0
    for weight in model.parameters():
        own = weight.to_local() if is_shared_out(weight) else weight
        held += own.untyped_storage().nbytes()
        whole += weight.numel() * weight.element_size()
    return held, whole
