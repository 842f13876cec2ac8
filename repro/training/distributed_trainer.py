"""The base of the trainers that do not come from trl; it runs in one process or, with DDP or FSDP, in several."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import nn
from torch.distributed.checkpoint import state_dict
from transformers import TrainingArguments
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME
from transformers.trainer_pt_utils import LengthGroupedSampler

from repro.distributed import is_main_process, is_sharded, num_processes, shard_trained_weights
from repro.leader.leader import Leader
from repro.leader.logprobs import sequence_logprobs, target_logprobs
from repro.training.trainer import LeaderTrainer


class DistributedTrainer(LeaderTrainer):
    """Trains on rows grouped by length. Update by update, n processes see what one with n times the batch sees.

    A subclass computes its loss from `self.logprobs`.

    Args:
        arguments: Keyword arguments of `TrainingArguments` (see `training_arguments`).
        rows: Training rows; their `length` groups them into batches.
        kwargs: `log` and `callbacks` of `LeaderTrainer`.
    """

    def __init__(self, leader: Leader, arguments: dict[str, Any], rows: list[dict[str, Any]], **kwargs: Any) -> None:
        model = _CallingModule(leader.model)
        if is_sharded():
            shard_trained_weights(model)
            # FSDP takes the module that runs first for the root; without this call it would be a layer, in a rollout.
            model(lambda: None)
        super().__init__(
            leader,
            model=model,
            args=TrainingArguments(**arguments, train_sampling_strategy="group_by_length", length_column_name="length"),
            train_dataset=Dataset.from_list(rows),
            data_collator=lambda batch: {key: [row[key] for row in batch] for key in batch[0]},
            **kwargs,
        )
        self._lengths = [int(row["length"]) for row in rows]

    def logprobs(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Return `sequence_logprobs` of the leader; their gradients are averaged over the processes."""
        return self.model_wrapped(lambda: sequence_logprobs(self.leader, *args, **kwargs))

    def token_logprobs(self, *args: Any, **kwargs: Any) -> tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]]:
        """Return `target_logprobs` of the leader; their gradients are averaged over the processes."""
        return self.model_wrapped(lambda: target_logprobs(self.leader, *args, **kwargs))

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        # The Trainer's own sampler groups by the batch size of one process.
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps * num_processes()
        return LengthGroupedSampler(size, lengths=self._lengths)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not is_sharded():
            return super()._save_optimizer_and_scheduler(output_dir)
        trainer: Any = self
        options = state_dict.StateDictOptions(full_state_dict=True, cpu_offload=True)
        state = state_dict.get_optimizer_state_dict(trainer.model, trainer.optimizer.optimizer, options=options)
        # Only the main process receives the full state.
        if is_main_process():
            torch.save(state, Path(output_dir) / OPTIMIZER_NAME)
            torch.save(trainer.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if not is_sharded() or checkpoint is None:
            return super()._load_optimizer_and_scheduler(checkpoint)
        trainer: Any = self
        options = state_dict.StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
        state = torch.load(Path(checkpoint) / OPTIMIZER_NAME, "cpu", weights_only=True) if is_main_process() else {}
        state_dict.set_optimizer_state_dict(trainer.model, trainer.optimizer.optimizer, state, options=options)
        trainer.lr_scheduler.load_state_dict(torch.load(Path(checkpoint) / SCHEDULER_NAME, weights_only=True))


class _CallingModule(nn.Module):
    """A leader's model whose forward calls a function, so that DDP and FSDP notice every pass through its layers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, function: Callable[[], Any]) -> Any:
        return function()
