"""KTO by trl, on the untrained leader's rollouts: those that pass are desirable, the others undesirable.

The rollouts are DPO's, but fails teach too. The rarer label gets the larger weight, so that both have the same total
(arXiv 2402.01306, equation 8). trl estimates the KL term from completions rotated by a row within a batch, so rows are
shuffled once: rollouts of one text must not be neighbours.
"""

import random
from typing import Any

from datasets import Dataset
from trl import KTOConfig, KTOTrainer

from metrics.util.errors import InputError
from repro.methods.context import TrainingContext
from repro.methods.untrained_rollouts import untrained_rollouts
from repro.training.trainer import LeaderTrainer


class LeaderKTOTrainer(LeaderTrainer, KTOTrainer):
    """trl's KTOTrainer on rows of token ids: `prompt_ids` and `completion_ids`, with a `label`."""

    def _prepare_dataset(self, dataset: Dataset, processing_class: Any, args: KTOConfig, *rest: Any) -> Dataset:
        # trl would tokenise text; the rows are token ids already and lack only the completion for the KL term.
        def rotate(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
            completions = batch["completion_ids"]
            return {"KL_completion_ids": [completions[-1], *completions[:-1]]}

        return dataset.map(rotate, batched=True, batch_size=args.per_device_train_batch_size)


def train(context: TrainingContext) -> LeaderKTOTrainer:
    """Train the context's leader with KTO; see `repro.methods`."""
    config, arguments = context.config, context.trl_arguments()  # refuses before the rollouts
    if config.batch_size * config.rollouts < 2:
        raise InputError("kto needs batch_size x rollouts of at least 2, for its KL term")
    rollouts = untrained_rollouts(context)
    prompts = context.leader.prompt_ids([rollout.text for rollout in rollouts])
    rows = [
        {"prompt_ids": prompt, "completion_ids": rollout.output, "label": rollout.passed}
        for prompt, rollout in zip(prompts, rollouts, strict=True)
    ]
    random.Random(config.seed).shuffle(rows)
    desirable = sum(rollout.passed for rollout in rollouts)
    ratio = (len(rows) - desirable) / desirable if desirable < len(rows) else 1.0
    args = KTOConfig(
        **arguments, beta=config.beta, desirable_weight=max(1.0, ratio), undesirable_weight=max(1.0, 1 / ratio),
        max_length=None, precompute_ref_log_probs=True,
    )  # fmt: skip
    dataset = Dataset.from_list(rows)
    return LeaderKTOTrainer(args=args, train_dataset=dataset, **context.trl_trainer_arguments()).train_or_resume()
