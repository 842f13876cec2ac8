"""Several processes that train one leader, as `accelerate launch` starts them. With one alone nothing happens here.

All of them take the stages that train; the first does everything else, and alone writes files. Each has the whole
leader, or, with a configuration of accelerate's that asks for FSDP, its share of what is trained.
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
# The others wait while the first fits a screener or unpacks a model.
_PATIENCE = datetime.timedelta(hours=12)
# Taken away before they see it: accelerate would wrap the leader its own way, on GPUs alone, and transformers would
# load weights in the first process only.
_FSDP = os.environ.pop("ACCELERATE_USE_FSDP", "false").lower() == "true"


def processes() -> int:
    """How many there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which one this is, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_first() -> bool:
    return rank() == 0


def sharded() -> bool:
    """Whether each process is to hold a share of what is trained, and not all of it."""
    return _FSDP and processes() > 1


def wait() -> None:
    """Returns when all are here."""
    if processes() > 1:
        _together().wait_for_everyone()


def first_decides(act: Callable[[], T]) -> T:
    """What `act` returns in the first process, which alone calls it, to all."""
    if processes() == 1:
        return act()
    from accelerate.utils import broadcast_object_list

    _together()
    values: list[Any] = [act() if is_first() else None]
    broadcast_object_list(values)
    return values[0]


def first_acts(act: Callable[[], T]) -> T:
    """`act` in the first process, then in all others, which find what it left (an unpacked model, say)."""
    if processes() == 1:
        return act()
    if is_first():
        found = act()
        wait()
        return found
    wait()
    return act()


def of_all(own: Sequence[T]) -> list[T]:
    """The items of all processes, in their order."""
    if processes() == 1:
        return list(own)
    from accelerate.utils import gather_object

    _together()
    return list(gather_object(list(own)))


def mean_of_all(total: torch.Tensor, count: int) -> torch.Tensor:
    """What to go back from so that the mean of the processes' gradients is that of a mean over the items of all.

    total: the sum over this process's `count` items.
    """
    return total * processes() / sum(of_all([count]))


def divide(root: nn.Module) -> None:
    """Divides the trained weights below `root` among the processes, layer by layer; their gradients are averaged.

    Each layer has its weights together while it runs, and the root the others. The optimiser is to be made after this.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    _together()
    mesh = init_device_mesh(next(root.parameters()).device.type, (processes(),))
    frozen = {p for p in root.parameters() if not p.requires_grad}
    # What transformers never puts on two devices: the layers.
    layers = {name for module in root.modules() for name in getattr(module, "_no_split_modules", None) or ()}
    for module in [m for m in root.modules() if type(m).__name__ in layers]:
        if any(p.requires_grad for p in module.parameters()):
            fully_shard(module, mesh=mesh, reshard_after_forward=True, ignored_params=frozen)
    fully_shard(root, mesh=mesh, reshard_after_forward=True, ignored_params=frozen)
    # Or accelerate would put DDP around it.
    root._is_accelerate_prepared = True  # type: ignore[assignment]


@contextmanager
def whole(root: Any) -> Iterator[None]:
    """Within it each process has all weights of what was divided, and may run it by itself, as often as it likes.

    All processes come here together.
    """
    if sharded():
        from torch.distributed.fsdp import FSDPModule

        for module in root.modules():
            if isinstance(module, FSDPModule):
                module.unshard()
                module.set_reshard_after_forward(False, recurse=False)
    try:
        yield
    finally:
        if sharded():
            root.set_reshard_after_forward(True)
            # It also forgets in which order layers ran here: by that the next pass back would fetch weights ahead,
            # which all processes must do alike.
            root.reset_iter_state()


def gathered(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor, of which this process may have a share only."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def share_like(tensor: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """What this process is to have of `tensor`, which all have, as it has of `other`: its share, or all."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(other, DTensor):
        return tensor
    return distribute_tensor(tensor, other.device_mesh, other.placements, src_data_rank=None)


def _together() -> Any:
    """accelerate's state, with the processes connected."""
    import torch
    from accelerate import PartialState

    # accelerate tries no other device by itself.
    return PartialState(cpu=not torch.accelerator.is_available(), timeout=_PATIENCE)
