"""What the methods that trl trains have in common: the recipe's budget as trl's arguments.

All of them give trl token ids instead of text, because tokens that are decoded and encoded again may be others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metrics.util.errors import InputError
from repro.methods.context import TrainingContext


def trl_arguments(context: TrainingContext) -> dict[str, Any]:
    """Return the recipe's budget as keyword arguments of trl's configs; an update sees as many answers as SRO's.

    Raises:
        InputError: The leader is an encoder-decoder model, which trl does not train, or `train_dtype` is not float32.
    """
    config = context.config
    if config.train_dtype != "float32":
        raise InputError(
            f"train_dtype={config.train_dtype} is for SRO; give train_dtype=float32 with method {config.method}"
        )
    if context.leader.seq2seq:
        raise InputError(
            f"{config.leader} is an encoder-decoder model; trl trains causal ones only, "
            f"so method {config.method} cannot be used with it"
        )
    return {
        **context.arguments(),
        "max_steps": num_updates(context),
        "per_device_train_batch_size": config.batch_size * config.rollouts,
    }


def num_updates(context: TrainingContext) -> int:
    """Return the number of updates in the recipe's budget, which is the same for every method."""
    return context.config.steps or context.config.epochs * context.config.epoch_updates(len(context.texts))


def fill_last_update(context: TrainingContext, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows, and as many of the first ones again as fill the last update of a pass over them."""
    size = context.config.batch_size * context.config.accumulation * context.config.rollouts
    return [rows[i % len(rows)] for i in range(-(-len(rows) // size) * size)]
