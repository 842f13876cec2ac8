"""What a training method receives, and how it is found by its name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from metrics.util.errors import InputError
from repro.followers.follower import Follower
from repro.leader.leader import Leader
from repro.methods.config import ContextConfig
from repro.training.callbacks import DevelopmentCallback, Log
from repro.training.development import Evaluate
from repro.training.trainer import LeaderTrainer, training_arguments


@dataclass(frozen=True)
class TrainingContext:
    """What a training method receives.

    Attributes:
        texts: Toxic texts to roll out on.
        pairs: Parallel texts (toxic, neutral), for methods that learn from them.
        log: Appends an event to the run's log.
        evaluate: Returns the leader's development scores at a step.
        output_dir: Folder of the checkpoints, from which an interrupted training resumes.
        run_name: The run's name for experiment trackers.
    """

    config: ContextConfig
    leader: Leader
    follower: Follower
    texts: Sequence[str]
    pairs: Sequence[tuple[str, str]]
    log: Log
    evaluate: Evaluate
    output_dir: Path
    run_name: str = "detox"

    def arguments(self) -> dict[str, Any]:
        """Return the recipe's budget as keyword arguments of `TrainingArguments`."""
        config = self.config
        schedule = {"constant": "constant_with_warmup", "linear": "linear"}[config.schedule]
        return training_arguments(
            self.output_dir, max_steps=config.steps, num_train_epochs=config.epochs, save_steps=config.evaluate_every,
            per_device_train_batch_size=config.batch_size, gradient_accumulation_steps=config.accumulation,
            learning_rate=config.learning_rate, lr_scheduler_type=schedule, weight_decay=config.weight_decay,
            seed=config.seed, report_to=list(config.report_to), run_name=self.run_name,
        )  # fmt: skip

    @property
    def num_updates(self) -> int:
        """The number of updates in the recipe's budget, which is the same for every method."""
        return self.config.steps or self.config.epochs * self.config.epoch_updates(len(self.texts))

    def trl_arguments(self) -> dict[str, Any]:
        """Return the budget as keyword arguments of trl's configs.

        An update of any method sees batch_size x accumulation x rollouts sequences per process.

        Raises:
            InputError: The leader is an encoder-decoder model.
        """
        config = self.config
        if self.leader.seq2seq:
            why = f"trl trains causal ones only, so method {config.method} cannot be used with it"
            raise InputError(f"{config.leader} is an encoder-decoder model; {why}")
        size = config.batch_size * config.rollouts
        # With bf16 the Trainer computes matrix products in bfloat16, and trl's losses from logits in bfloat16.
        budget = {"max_steps": self.num_updates, "per_device_train_batch_size": size}
        products = {"bf16": config.train_dtype == "bfloat16", "use_cpu": self.leader.device.type == "cpu"}
        return {**self.arguments(), **budget, **products}

    def fill_last_update(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Repeat the first rows until their number is a multiple of the sequences in an update."""
        size = self.config.batch_size * self.config.accumulation * self.config.rollouts
        return [rows[i % len(rows)] for i in range(-(-len(rows) // size) * size)]

    def trainer_arguments(self) -> dict[str, Any]:
        """Return the keyword arguments `leader`, `log` and `callbacks` of `LeaderTrainer`."""
        development = DevelopmentCallback(self.leader, self.evaluate, self.config, self.log)
        return {"leader": self.leader, "log": self.log, "callbacks": [development]}

    def trl_trainer_arguments(self) -> dict[str, Any]:
        """Return `trainer_arguments`, and the leader's model and tokenizer by trl's names."""
        return {**self.trainer_arguments(), "model": self.leader.model, "processing_class": self.leader.tokenizer}


def training_method(name: str) -> Callable[[TrainingContext], LeaderTrainer]:
    """Return the function `train` of the module repro.methods.NAME, with _ for each - of the name."""
    train: Callable[[TrainingContext], LeaderTrainer] = import_module(f"repro.methods.{name.replace('-', '_')}").train
    return train
