"""Distributed training: collectives, and FSDP for the trained weights. One process alone runs all of it unchanged.

`accelerate launch` starts the processes. All of them run the stages that train; the main process runs every other stage
and writes all files. Each process holds all trained weights (DDP) or, with an FSDP configuration, a shard of them.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import nn

T = TypeVar("T")
# The other processes wait while the main one fits a screener or unpacks a model.
_TIMEOUT = datetime.timedelta(hours=12)
# Removed before accelerate and transformers read it: accelerate would wrap the leader itself, and only on GPUs;
# transformers would load weights in the main process only.
_USE_FSDP = os.environ.pop("ACCELERATE_USE_FSDP", "false").lower() == "true"


def num_processes() -> int:
    """Return the number of processes of this run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Return the index of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_main_process() -> bool:
    """Return whether this is the process with rank 0, which alone writes files."""
    return rank() == 0


def is_sharded() -> bool:
    """Return whether each process holds only a shard of the trained weights (FSDP)."""
    return _USE_FSDP and num_processes() > 1


def wait_for_everyone() -> None:
    """Block until all processes have reached this call."""
    if num_processes() > 1:
        _process_state().wait_for_everyone()


def broadcast_from_main(function: Callable[[], T]) -> T:
    """Call `function` in the main process only and return its result in all processes."""
    if num_processes() == 1:
        return function()
    from accelerate.utils import broadcast_object_list

    _process_state()
    values: list[Any] = [function() if is_main_process() else None]
    broadcast_object_list(values)
    return values[0]


def main_process_first(function: Callable[[], T]) -> T:
    """Call `function` in the main process, then in the others, which find the files that it wrote."""
    if not is_main_process():
        wait_for_everyone()
    result = function()
    if is_main_process():
        wait_for_everyone()
    return result


def all_gather(items: Sequence[T]) -> list[T]:
    """Return the items of all processes, ordered by rank."""
    if num_processes() == 1:
        return list(items)
    from accelerate.utils import gather_object

    _process_state()
    return list(gather_object(list(items)))


def global_mean_loss(total: torch.Tensor, count: int) -> torch.Tensor:
    """Return the loss whose gradient, averaged over the processes, is that of the mean over the items of all.

    `total` is the sum of the losses of this process's `count` items, a scalar.
    """
    return total * num_processes() / sum(all_gather([count]))


def shard_trained_weights(root: nn.Module) -> None:
    """Shard the trained weights below `root` layer by layer (FSDP2), before the optimizer is created.

    Each layer gathers its weights while it runs, `root` gathers the remaining ones, and gradients are averaged.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    _process_state()
    mesh = init_device_mesh(next(root.parameters()).device.type, (num_processes(),))
    options: Any = {"mesh": mesh, "ignored_params": {p for p in root.parameters() if not p.requires_grad}}
    # `_no_split_modules` names the layer classes of a transformers model.
    layers = {name for module in root.modules() for name in getattr(module, "_no_split_modules", None) or ()}
    for module in [m for m in root.modules() if type(m).__name__ in layers]:
        if any(p.requires_grad for p in module.parameters()):
            fully_shard(module, reshard_after_forward=True, **options)
    fully_shard(root, reshard_after_forward=True, **options)
    # Keeps accelerate from wrapping it in DDP.
    root._is_accelerate_prepared = True  # type: ignore[assignment]


@contextmanager
def unsharded(root: Any) -> Iterator[None]:
    """Gather all weights of a sharded model, so that each process can run it alone and any number of times.

    All processes must enter together. Without FSDP this does nothing.
    """
    if is_sharded():
        from torch.distributed.fsdp import FSDPModule

        for module in root.modules():
            if isinstance(module, FSDPModule):
                module.unshard()
                module.set_reshard_after_forward(False, recurse=False)
    try:
        yield
    finally:
        if is_sharded():
            root.set_reshard_after_forward(True)
            # FSDP prefetches weights in the backward pass by the recorded order of layers, which must be the same in
            # all processes: forget the order recorded here.
            root.reset_iter_state()


def full_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """Return the unsharded tensor, of which this process may hold only a shard; all processes call this together."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def shard_like(tensor: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return this process's shard of `tensor`, which all processes hold, sharded as `other` is (if it is)."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(other, DTensor):
        return tensor
    return distribute_tensor(tensor, other.device_mesh, other.placements, src_data_rank=None)


def _process_state() -> Any:
    """Return accelerate's state with the processes connected."""
    import torch
    from accelerate import PartialState

    # accelerate falls back to the processor only when it is told to.
    return PartialState(cpu=not torch.accelerator.is_available(), timeout=_TIMEOUT)
