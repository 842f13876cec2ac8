"""A leader in training, as the tests of the trainers look at it, and the recipe smoke for a tiny one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from repro.leader import Leader
    from repro.training import Development

# Overrides of `smoke`, KEY=VALUE, for a leader of a few thousand weights.
SMALL = (
    "toxic_limit=24", "warmup_steps=4", "steps=4", "evaluate_every=2", "development_limit=4", "test_limit=4",
    "max_new_tokens=8", "rollout_max_new_tokens=8", "follower=screener", "flip_rate=0.3", "stop_repetition=1",
    "stop_length_ratio=0", "learning_rate=0.01",
)  # fmt: skip


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
