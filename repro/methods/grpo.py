"""GRPO by trl's GRPOTrainer: the leader rolls out as it learns, and a pass is the reward.

Rollouts are SRO's own, drawn through trl's `rollout_func` (which trl calls experimental): the draw depends on the step
alone, so that a killed and resumed run equals an unbroken one. A text whose rollouts all pass or all fail teaches
nothing. The KL coefficient is trl's default, 0: no reference model.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from repro.followers.follower import KINDS, PASS
from repro.methods.sro import roll_out, written
from repro.methods.task import Task
from repro.methods.trl_training import TrlTraining


class GRPO(TrlTraining, GRPOTrainer):
    """Rows have `prompt`: the toxic text, which the leader's own prompt is put around when it is rolled out."""

    Config = GRPOConfig
    # trl's loss divides by all tokens of an update itself.
    loss_is_scaled_for_ga = True

    def __init__(self, task: Task) -> None:
        config = task.config
        self._follower, self._config, self._batch_size = task.follower, config, config.batch_size
        # trl drops what does not fill an update, and would train on nothing where all texts do not.
        times = -(-config.batch_size * config.accumulation // len(task.texts))
        settings = {
            "num_generations": config.rollouts,
            "temperature": config.temperature,
            "max_completion_length": config.rollout_max_new_tokens,
        }
        dataset = Dataset.from_dict({"prompt": list(task.texts) * times})
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "You are using 'rollout_func'")
            super().__init__(task, dataset, settings, reward_funcs=[self.reward], rollout_func=self.roll_out)

    def roll_out(self, prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        """Texts, each as often as it is rolled out -> the tokens of prompts and rollouts, in batches as SRO's are."""
        texts = list(prompts)[:: self._config.rollouts]
        first = self._config.seed * 1_000_003 + self.state.global_step * self.args.gradient_accumulation_steps
        outputs = []
        for draw, start in enumerate(range(0, len(texts), self._batch_size)):
            outputs += roll_out(self.leader, texts[start : start + self._batch_size], self._config, first + draw)
        # Rolling out leaves the model in eval mode, and trl sorts its metrics by the mode.
        self.leader.model.train()
        return {"prompt_ids": self.leader.prompt_ids(prompts), "completion_ids": outputs, "logprobs": None}

    def reward(self, prompts: Sequence[str], completion_ids: Sequence[Sequence[int]], **rest: Any) -> list[float]:
        """1 for what passes the follower, else 0. prompts: the texts."""
        kinds = self._follower.judge(prompts, written(self.leader, completion_ids), self.state.global_step)
        self.note_verdicts([KINDS[kind] for kind in kinds])
        return [float(kind == PASS) for kind in kinds]


def train(task: Task) -> GRPO:
    trainer = GRPO(task)
    trainer.fit()
    return trainer
