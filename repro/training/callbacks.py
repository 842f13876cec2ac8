"""Callbacks of all trainings: complete checkpoints, the progress bar, and development scores."""

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from metrics.util.progress import ProgressBar
from repro.distributed import broadcast_from_main, is_main_process, unsharded, wait_for_everyone
from repro.leader.leader import Leader
from repro.training.checkpoints import BEST, COMPLETE, save_trained_weights
from repro.training.config import DevelopmentConfig
from repro.training.development import Evaluate, best_step, development_history, stop_reason

Log = Callable[[dict[str, Any]], None]


class CompleteCheckpointCallback(TrainerCallback):
    """Marks a checkpoint as complete, then removes the older ones.

    `save_total_limit` would remove the older ones before the new one is complete, so that a kill could leave none.
    """

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        wait_for_everyone()
        if not is_main_process():
            return
        newest = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        (newest / COMPLETE).touch()
        for path in newest.parent.glob("checkpoint-*"):
            if path != newest:
                # The mark first: a checkpoint that is only half removed must not look complete.
                (path / COMPLETE).unlink(missing_ok=True)
                shutil.rmtree(path)


class ProgressBarCallback(TrainerCallback):
    """Shows steps, loss, share of passes and development J in one line."""

    def __init__(self) -> None:
        self._bar: ProgressBar | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, *rest: Any, **kwargs: Any) -> None:
        if is_main_process():
            bar = ProgressBar("training", state.max_steps, completed=state.global_step, unit="steps")
            self._bar = bar.__enter__()

    def on_log(self, args: TrainingArguments, state: TrainerState, *rest: Any, logs: Any = None, **kwargs: Any) -> None:
        if self._bar is not None and "loss" in logs:
            passes = f", passes {logs['passed']:.0%}" if "passed" in logs else ""
            scores = [f", development J {scores.j:.3f}" for scores in development_history(state.log_history)[-1:]]
            self._bar.update(note="".join([f"loss {logs['loss']:.3f}", passes, *scores]))

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        """End the line; `LeaderTrainer` calls this after an interruption too."""
        if self._bar is not None:
            self._bar.__exit__()
            self._bar = None


class DevelopmentCallback(TrainerCallback):
    """Scores the leader before the first step and at every checkpoint, keeps the best weights, and stops training.

    Scores and stop reason are entries of `state.log_history`, which every checkpoint contains. The weights of the best
    step so far are in `best.safetensors` in the output folder.

    Args:
        leader: The leader in training.
        evaluate: Called with the number of the step.
        config: When to stop.
        log: Receives scores and stop reason.
    """

    def __init__(self, leader: Leader, evaluate: Evaluate, config: DevelopmentConfig, log: Log) -> None:
        self._leader, self._evaluate, self._config, self._log = leader, evaluate, config, log

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step == 0:
            self._score(args, state, control, kwargs["model"])

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        # The Trainer's own callback, which comes before this one, has decided whether a checkpoint is due.
        if control.should_save:
            self._score(args, state, control, kwargs["model"])

    def _score(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any) -> None:
        training = self._leader.model.training
        self._leader.model.eval()
        with unsharded(model):
            scores = broadcast_from_main(lambda: self._evaluate(state.global_step))
        self._leader.model.train(training)
        entry = {"development": asdict(scores)}
        state.log_history.append({"step": scores.step, **entry})
        self._log(entry)
        history = development_history(state.log_history)
        if best_step(history) == scores.step:
            save_trained_weights(self._leader, Path(str(args.output_dir)) / BEST)
        if reason := stop_reason(history, self._config):
            control.should_training_stop = True
            state.log_history.append({"step": scores.step, "stopped": reason})
            self._log({"stopped": reason})
