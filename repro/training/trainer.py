"""The base of all trainers here: weights-only checkpoints, resuming, and the follower's verdicts in the log.

Everything drawn at random depends on the step alone, so that a run that was killed and resumed sees exactly what an
uninterrupted one sees.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from safetensors.torch import load_file
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerState

from repro.distributed import all_gather, broadcast_from_main
from repro.followers.follower import Verdict, verdict_shares
from repro.leader.leader import Leader
from repro.leader.rollouts import dropout
from repro.training.callbacks import CompleteCheckpointCallback, Log, ProgressBarCallback
from repro.training.checkpoints import WEIGHTS, last_checkpoint, save_trained_weights
from repro.training.development import development_history
from repro.training.tracking import PROJECT, TrackingCallback


class LeaderTrainer(Trainer):
    """A `transformers.Trainer` that trains a leader; it also serves as the first base of trainers from trl.

    Args:
        leader: The leader; `model`, a keyword argument, is its model or contains it.
        log: Receives the log entries and the development scores.
        callbacks: Further callbacks, such as `DevelopmentCallback`.
        kwargs: Arguments of the next base class.
    """

    # Losses are means over the micro-batch. The Trainer would not divide them by the number of micro-batches for a T5,
    # which claims to accept `num_items_in_batch`.
    loss_is_scaled_for_ga: bool | None = False

    def __init__(self, leader: Leader, *, log: Log, callbacks: Sequence[TrainerCallback] = (), **kwargs: Any) -> None:
        self.leader, self._log = leader, log
        self._verdicts: list[Verdict] = []
        self._progress = ProgressBarCallback()
        super().__init__(callbacks=[CompleteCheckpointCallback(), self._progress, *callbacks], **kwargs)
        self.remove_callback(PrinterCallback)
        # After those that score, whose scores it sends.
        self.add_callback(TrackingCallback(self))

    def record_verdicts(self, verdicts: Sequence[Verdict]) -> None:
        """Add verdicts to the next log entry: the share of passes, and that of each reason to fail."""
        self._verdicts += verdicts

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log metrics, together with the shares of the verdicts since the last entry."""
        if verdicts := all_gather(self._verdicts):
            shares = verdict_shares(verdicts)
            logs |= {"passed": shares.pop("pass", 0.0), **{f"failed_{label}": share for label, share in shares.items()}}
            self._verdicts = []
        super().log(logs, start_time)
        self._log({"step": self.state.global_step, **self.state.log_history[-1]})

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the trained weights instead of the model."""
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        save_trained_weights(self.leader, folder / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.leader.load_trainable_state(load_file(Path(resume_from_checkpoint) / WEIGHTS))

    def train_or_resume(self) -> Self:
        """Train to the end, from the last complete checkpoint if there is one, and return self."""
        checkpoint = broadcast_from_main(lambda: last_checkpoint(Path(str(self.args.output_dir))))
        if checkpoint is not None:
            self.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
            # Here, because the Trainer would take one more step.
            if 0 < self.state.max_steps <= self.state.global_step or self._stop_reason is not None:
                self._load_from_checkpoint(str(checkpoint))
                return self
        # With dropout, policy and reference would differ before the first update.
        with dropout(self.leader.model, 0.0):
            try:
                self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            finally:
                self._progress.on_train_end()
        return self

    @property
    def _stop_reason(self) -> str | None:
        entries: list[dict[str, Any]] = self.state.log_history
        return next((entry["stopped"] for entry in reversed(entries) if "stopped" in entry), None)

    def outcome(self) -> dict[str, Any]:
        """Return development scores, the reason for the end, and the verdicts' shares by step, as a JSON value."""
        entries: list[dict[str, Any]] = self.state.log_history
        shares = [
            {key: value for key, value in entry.items() if key in ("step", "passed") or key.startswith("failed_")}
            for entry in entries
            if "passed" in entry
        ]
        history = [asdict(scores) for scores in development_history(entries)]
        stopped = self._stop_reason or "the recipe's number of steps was done"
        return {"history": history, "stopped": stopped, "passed": shares}


def training_arguments(output_dir: Path, *, max_steps: int, **arguments: Any) -> dict[str, Any]:
    """Return keyword arguments of `TrainingArguments`, and of trl's configs: `arguments`, and those that all share.

    Args:
        output_dir: Folder of the checkpoints.
        max_steps: Number of updates; 0 trains for `num_train_epochs`.
        arguments: These differ between trainings.
    """
    warmup_steps = min(5, max(1, max_steps // 4)) if max_steps else 5
    return {
        "output_dir": str(output_dir), "max_steps": max_steps or -1, "warmup_steps": warmup_steps, "max_grad_norm": 1.0,
        "save_strategy": "steps", "logging_steps": 1, "report_to": [], "project": PROJECT, "disable_tqdm": True,
        "bf16": False, "remove_unused_columns": False, "gradient_checkpointing": False, "dataloader_num_workers": 0,
        "dataloader_pin_memory": False, **arguments,
    }  # fmt: skip
