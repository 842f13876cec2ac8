"""Several processes that train one leader, as `accelerate launch` starts them. With one alone nothing happens here.

All of them take the stages that train; the first does everything else, and alone writes files.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
# The others wait while the first fits a screener or unpacks a model.
_PATIENCE = datetime.timedelta(hours=12)


def processes() -> int:
    """How many there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which one this is, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_first() -> bool:
    return rank() == 0


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


def _together() -> Any:
    """accelerate's state, with the processes connected."""
    import torch
    from accelerate import PartialState

    # accelerate tries no other device by itself.
    return PartialState(cpu=not torch.accelerator.is_available(), timeout=_PATIENCE)
