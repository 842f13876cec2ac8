"""Helpers for tests of the leader: recipe overrides for a tiny one, its weights, and scores that depend on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from repro.leader.leader import Leader
    from repro.training.development import DevelopmentScores

# Overrides of the recipe `smoke`, for a leader of a few thousand weights.
SMALL = (
    "toxic_limit=24", "warmup_steps=4", "steps=4", "evaluate_every=2", "development_limit=4", "test_limit=4",
    "max_new_tokens=8", "rollout_max_new_tokens=8", "follower=screener", "flip_rate=0.3", "stop_repetition=1",
    "stop_length_ratio=0", "learning_rate=0.01",
    # In bfloat16 two processes round otherwise than one.
    "train_dtype=float32", "rollout_dtype=float32",
)  # fmt: skip


def weights(leader: Leader) -> torch.Tensor:
    """Return all trained weights, flat."""
    return torch.cat([p.flatten() for p in leader.trainable_state().values()])


def scores_by_norm(leader: Leader, die_after: int | None = None) -> Callable[[int], DevelopmentScores]:
    """Return development scores whose J depends on the weights; `die_after` raises at that step, as a kill would."""
    from repro.training.development import DevelopmentScores

    def evaluate(step: int) -> DevelopmentScores:
        if step == die_after:
            raise KeyboardInterrupt
        norm = sum(float(p.abs().sum()) for p in leader.trainable_state().values())
        return DevelopmentScores(step, 1 / norm, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)

    return evaluate


def randomise_weights(model: Any, folder: Path) -> None:
    """Save the model with larger random weights: its output depends on the sentence, and a T5 ends its outputs."""
    torch.manual_seed(11)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim == 2 and "shared" not in name and "embed" not in name:
                value.copy_(torch.randn_like(value) * 0.5)
    model.save_pretrained(folder)
