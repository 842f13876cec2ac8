"""Supervised fine-tuning by trl on parallel data: what people's own rewrites would have taught.

It is an upper bound to compare SRO with, not a rival: SRO has no parallel data. An update sees as many pairs as one of
SRO's sees rollouts, and the loss is that of the rewrite alone.
"""

import random

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from metrics.util.errors import InputError
from repro.methods.context import TrainingContext
from repro.training.trainer import LeaderTrainer

# The label of a token that is not learned (PyTorch's `ignore_index`).
_IGNORED = -100


class LeaderSFTTrainer(LeaderTrainer, SFTTrainer):
    """trl's SFTTrainer on rows of token ids: `input_ids` and `labels`, which ignore the prompt."""

    # None: trl's loss divides by the number of tokens in the update if the Trainer passes it, which this leaves to it.
    loss_is_scaled_for_ga = None


def train(context: TrainingContext) -> LeaderSFTTrainer:
    """Train the context's leader on its parallel pairs; see `repro.methods`."""
    arguments = context.trl_arguments()
    if not context.pairs:
        raise InputError("sft needs parallel data, and the parallel corpus has no pairs")
    pairs = list(context.pairs)
    random.Random(context.config.seed).shuffle(pairs)
    # Pairs beyond the budget need not be tokenised.
    updates, batch_size = arguments["max_steps"], arguments["per_device_train_batch_size"]
    pairs = pairs[: updates * batch_size * context.config.accumulation]
    prompts = context.leader.prompt_ids([toxic for toxic, _ in pairs])
    targets = context.leader.target_ids([neutral for _, neutral in pairs])
    rows = [
        {"input_ids": [*prompt, *target], "labels": [*[_IGNORED] * len(prompt), *target]}
        for prompt, target in zip(prompts, targets, strict=True)
    ]
    args, dataset = SFTConfig(**arguments, max_length=None), Dataset.from_list(context.fill_last_update(rows))
    return LeaderSFTTrainer(args=args, train_dataset=dataset, **context.trl_trainer_arguments()).train_or_resume()
