"""Warm-up: maximum-likelihood training that makes a paraphraser of an instruction model."""

from typing import Any

from repro.distributed import global_mean_loss
from repro.training.distributed_trainer import DistributedTrainer


class WarmupTrainer(DistributedTrainer):
    """Maximises the likelihood of `target` given `source`; see `repro.training.denoising` for the rows."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the mean negative log-likelihood per target token."""
        self.leader.model.eval()
        targets = self.leader.target_ids(inputs["target"])
        policy, _ = self.logprobs(self.leader.prompt_ids(inputs["source"]), targets, reference=False)
        return global_mean_loss(-policy.sum(), sum(len(t) for t in targets))
