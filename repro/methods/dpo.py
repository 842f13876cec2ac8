"""DPO by trl, on the untrained leader's rollouts that pass: a baseline for SRO that learns nothing from fails.

Each passing rollout is preferred to its toxic text, and the updates cycle through these pairs. β is SRO's; trl's
"sigmoid" loss has no label smoothing ε.
"""

from typing import Any

from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from repro.methods.context import TrainingContext
from repro.methods.untrained_rollouts import untrained_rollouts
from repro.training.trainer import LeaderTrainer


class LeaderDPOTrainer(LeaderTrainer, DPOTrainer):
    """trl's DPOTrainer on rows of token ids: `prompt_ids`, `chosen_ids` and `rejected_ids`."""

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        # trl would tokenise text; the rows are token ids already.
        return dataset


def train(context: TrainingContext) -> LeaderDPOTrainer:
    """Train the context's leader with DPO; see `repro.methods`."""
    arguments = context.trl_arguments()  # refuses before the rollouts
    passed = [rollout for rollout in untrained_rollouts(context) if rollout.passed]
    texts = [rollout.text for rollout in passed]
    prompts, rejected = context.leader.prompt_ids(texts), context.leader.target_ids(texts)
    rows = [
        {"prompt_ids": prompt, "chosen_ids": rollout.output, "rejected_ids": toxic}
        for prompt, rollout, toxic in zip(prompts, passed, rejected, strict=True)
    ]
    args = DPOConfig(
        **arguments, beta=context.config.beta, loss_type=["sigmoid"], max_length=None, precompute_ref_log_probs=True
    )
    dataset = Dataset.from_list(context.fill_last_update(rows))
    return LeaderDPOTrainer(args=args, train_dataset=dataset, **context.trl_trainer_arguments()).train_or_resume()
