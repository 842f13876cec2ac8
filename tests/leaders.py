"""Leaders as tests need them: in training, the recipe smoke for a tiny one, one that writes all kinds of things."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from repro.leader.leader import Leader
    from repro.training.trainer import Development

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
    from repro.training.trainer import Development

    def develop(step: int) -> Development:
        if step == die_after:
            raise KeyboardInterrupt
        norm = sum(float(p.abs().sum()) for p in leader.trainable_state().values())
        return Development(step, 1 / norm, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)

    return develop


def enliven(model: Any, folder: Path) -> None:
    """Saves it with larger weights: it writes something else for every sentence, and a T5 comes to an end."""
    torch.manual_seed(11)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim == 2 and "shared" not in name and "embed" not in name:
                value.copy_(torch.randn_like(value) * 0.5)
    model.save_pretrained(folder)
