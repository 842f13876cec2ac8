"""A leader in training, as the tests of the trainers look at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from repro.leader import Leader
    from repro.training import Development


def weights(leader: Leader) -> torch.Tensor:
    """All trained weights, flat."""
    return torch.cat([p.flatten() for p in leader.trainable_state().values()])


def by_norm(leader: Leader, die_after: int | None = None) -> Callable[[int], Development]:
    """Development scores that say the weights' size; die_after raises at that step, as a kill would."""
    from repro.training import Development

    def develop(step: int) -> Development:
        if step == die_after:
            raise KeyboardInterrupt
        norm = sum(float(p.abs().sum()) for p in leader.trainable_state().values())
        return Development(step, 1 / norm, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)

    return develop
