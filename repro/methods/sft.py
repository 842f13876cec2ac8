"""Supervised fine-tuning by trl on parallel data: what people's own rewrites would have taught.

It is an upper bound to compare SRO with, not a rival: SRO has no parallel data. An update sees as many pairs as one of
SRO's sees rollouts, and the loss is that of the rewrite alone.
"""

import random
from collections.abc import Sequence

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from metrics.util.errors import InputError
from repro.methods.context import TrainingContext
from repro.training.trainer import LeaderTrainer

# The label of a token that is not learned (PyTorch's `ignore_index`).
IGNORED = -100


class LeaderSFTTrainer(LeaderTrainer, SFTTrainer):
    """trl's SFTTrainer on token ids.

    Args:
        context: Leader and budget.
        rows: Rows with `input_ids` and `labels`; the labels of the prompt are ignored.
    """

    # None: trl's loss divides by the number of tokens in the update if the Trainer passes it, which this leaves to it.
    loss_is_scaled_for_ga = None

    def __init__(self, context: TrainingContext, rows: Sequence[dict[str, list[int]]]) -> None:
        super().__init__(
            context.leader,
            model=context.leader.model,
            args=SFTConfig(**context.trl_arguments(), max_length=None),
            train_dataset=Dataset.from_list(list(rows)),
            processing_class=context.leader.tokenizer,
            **context.logging(),
        )


def train(context: TrainingContext) -> LeaderSFTTrainer:
    """Train the context's leader on its parallel pairs.

    Raises:
        InputError: trl cannot train the leader, or there are no pairs.
    """
    arguments = context.trl_arguments()
    if not context.pairs:
        raise InputError("sft needs parallel data, and the parallel corpus has no pairs")
    pairs = list(context.pairs)
    random.Random(context.config.seed).shuffle(pairs)
    # Pairs beyond the budget need not be tokenised.
    per_update = arguments["per_device_train_batch_size"] * context.config.accumulation
    pairs = pairs[: arguments["max_steps"] * per_update]
    prompts = context.leader.prompt_ids([toxic for toxic, _ in pairs])
    targets = context.leader.target_ids([neutral for _, neutral in pairs])
    rows = [
        {"input_ids": [*prompt, *target], "labels": [*[IGNORED] * len(prompt), *target]}
        for prompt, target in zip(prompts, targets, strict=True)
    ]
    trainer = LeaderSFTTrainer(context, context.fill_last_update(rows))
    trainer.train_or_resume()
    return trainer
