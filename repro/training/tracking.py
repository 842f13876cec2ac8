"""Experiment trackers: those that transformers knows get the training's log, and tables of sample rewrites where they
have tables."""

import importlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations

from metrics.util.errors import InputError, missing_package, suggest
from metrics.util.markdown import markdown_table
from repro.training.development import development_history

PROJECT = "detox-suite"
_TENSORBOARD_FOLDER = "TENSORBOARD_LOGGING_DIR"
_TABLE = "eval/rewrites"


def require_trackers(names: Sequence[str]) -> None:
    """Raise an `InputError` if transformers does not know one of these trackers, or it is not installed."""
    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            hint = (
                suggest(name, INTEGRATION_TO_CALLBACK) or f"; use one of {', '.join(sorted(INTEGRATION_TO_CALLBACK))}"
            )
            raise InputError(f"report_to: {name} is unknown{hint}")
        if name not in get_available_reporting_integrations():
            if name in ("tensorboard", "trackio"):
                raise missing_package(name, f"report_to: {name}")
            raise InputError(f"report_to: {name} is not installed; install its package, such as pip install {name}")


@contextmanager
def tensorboard_folder(folder: Path) -> Iterator[None]:
    """Within the block, TensorBoard writes to `folder`, or where the user's TENSORBOARD_LOGGING_DIR says."""
    before = os.environ.get(_TENSORBOARD_FOLDER)
    os.environ[_TENSORBOARD_FOLDER] = before or str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_TENSORBOARD_FOLDER]


class TrackingCallback(TrainerCallback):
    """Sends each new entry of development scores, which other callbacks append to the log history, to the trackers.

    They see the scores as `eval/NAME`. TensorBoard, Trackio, Weights & Biases and MLflow also get a table of the
    sample rewrites.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        # A training that resumes has sent its scores before.
        if state.global_step == 0:
            self._send(args, state, control)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        if control.should_save:
            self._send(args, state, control)

    def _send(self, args: TrainingArguments, state: TrainerState, control: TrainerControl) -> None:
        latest = development_history(state.log_history)[-1:]
        if not args.report_to or not state.is_world_process_zero or not latest or latest[0].step != state.global_step:
            return
        scores = {f"eval_{name}": value for name, value in asdict(latest[0]).items() if isinstance(value, float)}
        should_log = control.should_log
        self._trainer.callback_handler.on_log(args, state, control, scores)
        control.should_log = should_log  # which on_log resets, and the step's own log is still to come
        for name in args.report_to:
            if latest[0].samples and name in _TABLES:
                _TABLES[name](self._trainer, latest[0].samples, state.global_step)


def _tensorboard(trainer: Trainer, rows: Sequence[Mapping[str, Any]], step: int) -> None:
    cells = [[str(value).replace("|", r"\|") for value in row.values()] for row in rows]
    text = markdown_table(cells, tuple(rows[0]), text_columns=2)
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback) and callback.tb_writer is not None:
            callback.tb_writer.add_text(_TABLE, text, step)


def _logged_table(library: str) -> Callable[[Trainer, Sequence[Mapping[str, Any]], int], None]:
    """A function that logs a table with a library's `log` and `Table`."""

    def log(trainer: Trainer, rows: Sequence[Mapping[str, Any]], step: int) -> None:
        tracker = importlib.import_module(library)
        tracker.log({_TABLE: tracker.Table(dataframe=pd.DataFrame(rows)), "train/global_step": step})

    return log


def _mlflow(trainer: Trainer, rows: Sequence[Mapping[str, Any]], step: int) -> None:
    tracker = importlib.import_module("mlflow")
    tracker.log_table(pd.DataFrame(rows), f"rewrites-{step}.json")


# How to log a table; the other trackers get numbers only.
_TABLES = {
    "tensorboard": _tensorboard,
    "trackio": _logged_table("trackio"),
    "wandb": _logged_table("wandb"),
    "mlflow": _mlflow,
}
