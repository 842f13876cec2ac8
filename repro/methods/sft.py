"""Supervised fine-tuning on parallel data, by trl's SFTTrainer: what people's own rewrites would have taught.

An update sees as many pairs as one of SRO's sees rollouts, and the loss is that of the rewrite alone. Not a rival of
SRO, which has no parallel data: a bound to compare it with. Killed and resumed it equals an unbroken run.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from metrics.util.errors import InputError
from repro.methods.task import Task
from repro.methods.trl_training import TrlTraining, trl_arguments, whole_updates

# What a label says of a token that is not learned.
IGNORED = -100


class SFT(TrlTraining, SFTTrainer):
    """Rows have `input_ids` and `labels`, the prompt's tokens ignored."""

    Config = SFTConfig
    # The Trainer's own rule: trl's loss divides by all tokens of an update where it is told their number.
    loss_is_scaled_for_ga = None

    def __init__(self, task: Task, rows: Sequence[dict[str, list[int]]]) -> None:
        super().__init__(task, Dataset.from_list(list(rows)), {"max_length": None})


def train(task: Task) -> SFT:
    config = task.config
    settings: dict[str, Any] = trl_arguments(task)
    if not task.pairs:
        raise InputError("sft needs parallel data, and the parallel corpus has no pairs")
    pairs = list(task.pairs)
    random.Random(config.seed).shuffle(pairs)
    # Those that the budget reaches; the others need not be tokenised.
    pairs = pairs[: settings["max_steps"] * settings["per_device_train_batch_size"] * config.accumulation]
    prompts = task.leader.prompt_ids([toxic for toxic, _ in pairs])
    targets = task.leader.target_ids([neutral for _, neutral in pairs])
    rows = [
        {"input_ids": [*prompt, *target], "labels": [*[IGNORED] * len(prompt), *target]}
        for prompt, target in zip(prompts, targets, strict=True)
    ]
    trainer = SFT(task, whole_updates(task, rows))
    trainer.fit()
    return trainer
