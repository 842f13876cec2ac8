"""What the methods that trl trains have in common: a Task as keywords of trl's configs, and a base for the trainers.

Where trl would read rows of text, they are tokens here: rollouts that are written and read again could be others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets import Dataset

from metrics.util.errors import InputError
from repro.leader.leader import dropout
from repro.methods.task import Task
from repro.training.trainer import LeaderTraining


class TrlTraining(LeaderTraining):
    """Mixed into a trainer of trl's; `Config` is its configuration, `settings` what that says beside the budget."""

    Config: Any

    def __init__(self, task: Task, dataset: Dataset, settings: dict[str, Any], **keywords: Any) -> None:
        self.attend(task.leader, task.log, task.develop, task.stop)
        super().__init__(
            model=task.leader.model,
            args=self.Config(**trl_arguments(task), **settings),
            train_dataset=dataset,
            # `evaluate` does not read it, but the Trainer wants one before it evaluates at all.
            eval_dataset=dataset.select([0]),
            processing_class=task.leader.tokenizer,
            **keywords,
        )
        self.begin()

    def fit(self) -> None:
        # trl puts the model into training mode, where families that have dropout would use it.
        with dropout(self.leader.model, 0.0):
            super().fit()


def trl_arguments(task: Task) -> dict[str, Any]:
    """The recipe's budget as keywords of trl's configs: an update sees as many answers as one of SRO's sees rollouts.

    Errors: an encoder-decoder leader; trl trains none. Another train_dtype: its products are trl's.
    """
    config = task.config
    if config.train_dtype != "float32":
        raise InputError(
            f"train_dtype={config.train_dtype} is for SRO; give train_dtype=float32 with method {config.method}"
        )
    if task.leader.seq2seq:
        raise InputError(
            f"{config.leader} is an encoder-decoder model; trl trains causal ones only, "
            f"so method {config.method} cannot be used with it"
        )
    size = config.batch_size * config.rollouts
    return {
        **task.arguments(),
        "max_steps": updates(task),
        "per_device_train_batch_size": size,
        "per_device_eval_batch_size": size,
    }


def updates(task: Task) -> int:
    """The updates of the recipe's budget, whatever a method learns from."""
    return task.config.steps or task.config.epochs * task.config.epoch_updates(len(task.texts))


def whole_updates(task: Task, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, and as many of the first ones again as fill the last update of a pass over them."""
    size = task.config.batch_size * task.config.accumulation * task.config.rollouts
    return [rows[i % len(rows)] for i in range(-(-len(rows) // size) * size)]
