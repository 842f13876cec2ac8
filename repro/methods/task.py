"""What a training method is given, and how it is found by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from metrics.models.resolve import ModelRef
from repro.followers.follower import Follower
from repro.leader.leader import Leader
from repro.methods.config import TaskConfig
from repro.training.trainer import Development, LeaderTraining, Log, arguments


@dataclass(frozen=True)
class Task:
    """What a training method is given.

    Attributes:
        config: The recipe fields that a method may read.
        leader: The model to train.
        reference: The model that the leader starts from.
        follower: Who judges the rollouts.
        texts: Toxic texts to roll out on.
        pairs: Parallel texts (toxic, neutral), for methods that learn from them.
        log: Appends an event to the run's log.
        develop: Scores the leader on the development sentences at a step.
        stop: Returns why training should stop after these development scores, or None.
        folder: Where the training keeps its checkpoints; a killed run resumes from them.
    """

    config: TaskConfig
    leader: Leader
    reference: ModelRef
    follower: Follower
    texts: Sequence[str]
    pairs: Sequence[tuple[str, str]]
    log: Log
    develop: Callable[[int], Development]
    stop: Callable[[Sequence[Development]], str | None]
    folder: Path

    def arguments(self) -> dict[str, Any]:
        """Return the recipe's budget as keywords of `TrainingArguments`."""
        config = self.config
        return arguments(
            self.folder,
            batch_size=config.batch_size,
            accumulation=config.accumulation,
            learning_rate=config.learning_rate,
            steps=config.steps,
            epochs=config.epochs,
            weight_decay=config.weight_decay,
            save_every=config.evaluate_every,
            seed=config.seed,
            evaluate=True,
            schedule={"constant": "constant_with_warmup", "linear": "linear"}[config.schedule],
        )


def training_method(name: str) -> Callable[[Task], LeaderTraining]:
    """Return the function `train` of the module repro.methods.NAME."""
    train: Callable[[Task], LeaderTraining] = import_module(f"repro.methods.{name}").train
    return train
