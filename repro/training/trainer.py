"""What every training of the leader shares: checkpoints, resuming, development scores, stopping, and the warm-up.

Each method (repro/methods) is a `transformers.Trainer`, its own or one of trl's, with `LeaderTraining` mixed in.
Checkpoints hold the trained weights only, and whatever is drawn depends on the step, so that a run that was killed and
resumed sees exactly what an unbroken one sees.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import Trainer, TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME
from transformers.trainer_pt_utils import LengthGroupedSampler

from metrics.util.files import atomic_file
from repro.distributed import (
    all_gather,
    broadcast_from_main,
    global_mean_loss,
    is_main_process,
    is_sharded,
    num_processes,
    shard_trained_weights,
    unsharded,
    wait_for_everyone,
)
from repro.leader.leader import Leader

WEIGHTS = "trained.safetensors"
BEST = "best.safetensors"
COMPLETE = "complete"

Log = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Development:
    """How the leader does on the development sentences after a number of steps (all means over sentences)."""

    step: int
    j: float
    sta: float
    sim: float
    fl: float
    copies: float
    length_ratio: float
    repetition: float


def best_step(history: Sequence[Development]) -> int:
    """The step with the highest development J, the earliest of equals."""
    return max(history, key=lambda d: (d.j, -d.step)).step


def stop_reason(
    history: Sequence[Development], *, max_repetition: float, max_length_ratio: float, patience: int
) -> str | None:
    """Why training should stop after what `history` shows, or None.

    Degenerate text: mean bigram repetition above `max_repetition`, or a mean length ratio above `max_length_ratio` or
    below its inverse (0: any length will do). patience: stop after that many evaluations in a row without a better J;
    0 never.
    """
    if not history:
        return None
    last = history[-1]
    if last.repetition > max_repetition:
        return f"degenerate at step {last.step}: repetition {last.repetition:.2f} > {max_repetition}"
    if max_length_ratio and not 1 / max_length_ratio <= last.length_ratio <= max_length_ratio:
        return f"degenerate at step {last.step}: length ratio {last.length_ratio:.2f} (limit {max_length_ratio})"
    since_best = sum(d.step > best_step(history) for d in history)
    if patience and since_best >= patience:
        return f"no better development J in {since_best} evaluations, step {best_step(history)} to {last.step}"
    return None


class LeaderTraining(Trainer):
    """Mixed into a Trainer: trained weights only in checkpoints, JSONL logs, development scores, stopping.

    The weights of the best step so far are kept in `best.safetensors` in the output folder.
    """

    # The loss is a mean over the micro-batch; T5 claims to take loss kwargs, and accumulation would not divide.
    loss_is_scaled_for_ga: bool | None = False
    leader: Leader
    _write_log: Log
    _develop: Callable[[int], Development] | None = None
    _verdicts: list[str]

    def attend(
        self,
        leader: Leader,
        log: Log,
        develop: Callable[[int], Development] | None = None,
        stop: Callable[[Sequence[Development]], str | None] = lambda _: None,
    ) -> None:
        """Before the Trainer's own __init__: whose training this is, where its log goes, how it is judged."""
        self.leader = leader
        self._write_log = log
        self._develop = develop
        self._stop = stop
        self._verdicts = []

    def begin(self) -> None:
        """After the Trainer's own __init__."""
        self.add_callback(_MarkComplete())
        if self._develop is not None:
            self.add_callback(_EvaluateFirst(self))

    def note_verdicts(self, kinds: Sequence[str]) -> None:
        """Kinds of verdict (`repro.followers.follower.KINDS`) since the last step: their shares stand in its log
        entry."""
        self._verdicts += kinds

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        verdicts = all_gather(self._verdicts)
        if verdicts:
            shares = {kind: verdicts.count(kind) / len(verdicts) for kind in sorted(set(verdicts))}
            logs |= {"passed": shares.pop("pass", 0.0), **{f"failed_{kind}": share for kind, share in shares.items()}}
            self._verdicts = []
        super().log(logs, start_time)
        self._write_log({"step": self.state.global_step, **logs})

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(self.leader, folder / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.leader.load_trainable_state(load_file(Path(resume_from_checkpoint) / WEIGHTS))

    def fit(self) -> None:
        """Trains, going on from the last complete checkpoint there is; does nothing where that one was the end."""
        checkpoint = broadcast_from_main(lambda: last_checkpoint(Path(str(self.args.output_dir))))
        if checkpoint is not None:
            self.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
            if self.finished:
                self._load_from_checkpoint(str(checkpoint))
                return
        self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train; the Trainer itself would take one more step."""
        done = 0 < self.state.max_steps <= self.state.global_step
        return done or self._stop(self.history) is not None

    @property
    def history(self) -> list[Development]:
        """The development scores so far, from the trainer's own log: it comes back with a checkpoint."""
        entries: list[dict[str, Any]] = self.state.log_history
        return [Development(**entry["development"]) for entry in entries if "development" in entry]

    def outcome(self) -> dict[str, Any]:
        """A JSON value: the development scores, why training ended, and the verdicts' shares step by step."""
        shares = [
            {key: value for key, value in entry.items() if key in ("step", "passed") or key.startswith("failed_")}
            for entry in self.state.log_history
            if "passed" in entry
        ]
        return {
            "history": [asdict(d) for d in self.history],
            "stopped": self._stop(self.history) or "the recipe's number of steps was done",
            "passed": shares,
        }

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        assert self._develop is not None
        done = self.history
        if done and done[-1].step == self.state.global_step:
            # The Trainer evaluates once more when it was told to stop.
            return {"eval_j": done[-1].j}
        develop, step, training = self._develop, self.state.global_step, self.leader.model.training
        self.leader.model.eval()
        with unsharded(self.model):
            development = broadcast_from_main(lambda: develop(step))
        self.leader.model.train(training)
        entry: dict[str, Any] = {"step": development.step, "development": asdict(development)}
        self.state.log_history.append(entry)
        self._write_log({"development": asdict(development)})
        if best_step(self.history) == development.step:
            save_weights(self.leader, Path(str(self.args.output_dir)) / BEST)
        reason = self._stop(self.history)
        if reason is not None:
            self.control.should_training_stop = True
            self._write_log({"stopped": reason})
        return {"eval_j": development.j}


class _MarkComplete(TrainerCallback):
    """Marks a checkpoint as wholly written, then removes those before it; one without the mark is what a kill left.

    The Trainer would remove them before the new one is marked, and a kill in between would leave none.
    """

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        wait_for_everyone()
        if is_main_process():
            written = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            (written / COMPLETE).touch()
            for path in written.parent.glob("checkpoint-*"):
                if path != written:
                    # The mark first: half of a checkpoint must not be taken for a whole one.
                    (path / COMPLETE).unlink(missing_ok=True)
                    shutil.rmtree(path)


class _EvaluateFirst(TrainerCallback):
    """Scores the untrained leader before the first step: the curve starts where the warm-up ended."""

    def __init__(self, trainer: LeaderTraining) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 0:
            self._trainer.evaluate()


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint below `folder`; incomplete ones are removed."""
    found = []
    for path in folder.glob("checkpoint-*"):
        if (path / COMPLETE).is_file():
            found.append(path)
        else:
            shutil.rmtree(path)
    return max(found, key=lambda p: int(p.name.rpartition("-")[2]), default=None)


def save_weights(leader: Leader, path: Path) -> None:
    """Writes the trained weights: all processes ask for it, and the first writes."""
    trained = leader.trainable_state()
    if is_main_process():
        state = {name: value.contiguous().cpu().clone() for name, value in trained.items()}
        with atomic_file(path) as temporary:
            save_file(state, temporary)


def arguments(
    folder: Path,
    *,
    batch_size: int,
    accumulation: int,
    learning_rate: float,
    steps: int,
    epochs: int,
    weight_decay: float,
    save_every: int,
    seed: int,
    evaluate: bool,
    schedule: str,
) -> dict[str, Any]:
    """Keywords of `TrainingArguments`, and so of trl's configs: what all trainings here have in common."""
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": batch_size,
        "gradient_accumulation_steps": accumulation,
        "learning_rate": learning_rate,
        "lr_scheduler_type": schedule,
        "warmup_steps": min(5, max(1, steps // 4)) if steps else 5,
        "weight_decay": weight_decay,
        "max_grad_norm": 1.0,
        "max_steps": steps or -1,
        "num_train_epochs": epochs,
        "save_strategy": "steps",
        "save_steps": save_every,
        "eval_strategy": "steps" if evaluate else "no",
        "eval_steps": save_every if evaluate else None,
        "logging_steps": 1,
        "seed": seed,
        "report_to": [],
        "remove_unused_columns": False,
        "bf16": False,
        "gradient_checkpointing": False,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": False,
    }


class _Whole(nn.Module):
    """A leader's model behind a forward that does what it is told: so DDP and FSDP hear of passes layer by layer."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, act: Callable[[], Any]) -> Any:
        return act()


class TextTrainer(LeaderTraining):
    """A training on rows of text with a `length`, batched by similar length, with losses of the suite's own.

    By one process or several: these see, update by update, what one process with all their rows in its batch sees.
    """

    def __init__(
        self,
        leader: Leader,
        keywords: dict[str, Any],
        rows: list[dict[str, Any]],
        log: Log,
        develop: Callable[[int], Development] | None = None,
        stop: Callable[[Sequence[Development]], str | None] = lambda _: None,
    ) -> None:
        self.attend(leader, log, develop, stop)
        dataset = Dataset.from_list(rows)
        model = _Whole(leader.model)
        if is_sharded():
            shard_trained_weights(model)
            # FSDP takes for the root what runs first, which would be a layer while rolling out.
            model(lambda: None)
        super().__init__(
            model=model,
            args=TrainingArguments(**keywords, train_sampling_strategy="group_by_length", length_column_name="length"),
            train_dataset=dataset,
            # `evaluate` does not read it, but the Trainer wants one before it evaluates at all.
            eval_dataset=dataset,
            data_collator=lambda batch: {key: [row[key] for row in batch] for key in batch[0]},
        )
        self._lengths = [int(row["length"]) for row in rows]
        self.begin()

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        # The Trainer's own groups by the batch of one process.
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps * num_processes()
        return LengthGroupedSampler(size, lengths=self._lengths)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not is_sharded():
            return super()._save_optimizer_and_scheduler(output_dir)
        from torch.distributed.checkpoint import state_dict as states

        # The first process alone gets it.
        options = states.StateDictOptions(full_state_dict=True, cpu_offload=True)
        trainer: Any = self
        state = states.get_optimizer_state_dict(trainer.model, trainer.optimizer.optimizer, options=options)
        if is_main_process():
            torch.save(state, Path(output_dir) / OPTIMIZER_NAME)
            torch.save(trainer.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if not is_sharded() or checkpoint is None:
            return super()._load_optimizer_and_scheduler(checkpoint)
        from torch.distributed.checkpoint import state_dict as states

        options = states.StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
        trainer: Any = self
        state = torch.load(Path(checkpoint) / OPTIMIZER_NAME, "cpu", weights_only=True) if is_main_process() else {}
        states.set_optimizer_state_dict(trainer.model, trainer.optimizer.optimizer, state, options=options)
        trainer.lr_scheduler.load_state_dict(torch.load(Path(checkpoint) / SCHEDULER_NAME, weights_only=True))

    def logprobs(self, *given: Any, **named: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """`Leader.logprobs`, of which the processes' gradients are averaged."""
        return self.model_wrapped(lambda: self.leader.logprobs(*given, **named))


class WarmupTrainer(TextTrainer):
    """Maximum likelihood of a target given a prompt; rows have `source`, `target` and `length`."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        self.leader.model.eval()
        targets = self.leader.target_ids(inputs["target"])
        policy, _ = self.logprobs(self.leader.prompt_ids(inputs["source"]), targets, reference=False)
        return global_mean_loss(-policy.sum(), sum(len(t) for t in targets))
