"""KTO by trl's KTOTrainer: the untrained leader's rollouts, and their verdicts as desirable or not.

The same rollouts as DPO's (repro/methods/dpo.py), but those that fail teach too. The rarer kind weighs as much more as
it is rarer, which is what the method's authors advise (arXiv 2402.01306, equation 8). trl estimates the KL term from
answers moved by one row within a batch, so the rollouts of one text must not stand side by side: rows are shuffled
once. Killed and resumed it equals an unbroken run.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from trl import KTOConfig, KTOTrainer

from metrics.util.errors import InputError
from repro.methods.dpo import untrained_rollouts
from repro.methods.task import Task
from repro.methods.trl_training import TrlTraining, trl_arguments


class KTO(TrlTraining, KTOTrainer):
    """Rows have `prompt_ids`, `completion_ids` and `label`, and are read in their order."""

    Config = KTOConfig

    def __init__(self, task: Task, rows: Sequence[dict[str, Any]]) -> None:
        desirable = sum(row["label"] for row in rows)
        ratio = (len(rows) - desirable) / desirable if 0 < desirable < len(rows) else 1.0
        settings = {
            "beta": task.config.beta,
            "desirable_weight": max(1.0, ratio),
            "undesirable_weight": max(1.0, 1 / ratio),
            "max_length": None,
            "precompute_ref_log_probs": True,
        }
        super().__init__(task, Dataset.from_list(list(rows)), settings)

    def _prepare_dataset(self, dataset: Dataset, processing_class: Any, args: KTOConfig, *rest: Any) -> Dataset:
        """The rows with the answer that estimates the KL term beside each; trl would read all of them as text."""

        def rotate(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
            answers = batch["completion_ids"]
            return {"KL_completion_ids": [answers[-1], *answers[:-1]]}

        return dataset.map(rotate, batched=True, batch_size=args.per_device_train_batch_size)


def train(task: Task) -> KTO:
    trl_arguments(task)
    config = task.config
    if config.batch_size * config.rollouts < 2:
        raise InputError("kto needs batch_size x rollouts of at least 2, for its KL term")
    rollouts = untrained_rollouts(task)
    prompts = task.leader.prompt_ids([rollout.text for rollout in rollouts])
    rows = [
        {"prompt_ids": prompt, "completion_ids": rollout.output, "label": rollout.passed}
        for prompt, rollout in zip(prompts, rollouts, strict=True)
    ]
    random.Random(config.seed).shuffle(rows)
    trainer = KTO(task, rows)
    trainer.fit()
    return trainer
