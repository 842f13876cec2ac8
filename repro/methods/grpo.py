"""GRPO by trl: the leader rolls out as it learns, and the reward of a rollout is 1 if it passes.

Rollouts are SRO's own, through trl's `rollout_func` (experimental in trl): they depend on the step alone, so that
resumed runs draw the same. A text whose rollouts all pass, or all fail, teaches nothing. The KL coefficient is trl's
default, 0, so there is no reference model.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from metrics.rewards import PROMPT, Reward
from repro.followers.follower import Verdict
from repro.leader.rollouts import RolloutGenerator
from repro.methods.context import TrainingContext
from repro.methods.sro import SEED_STRIDE
from repro.training.trainer import LeaderTrainer


class LeaderGRPOTrainer(LeaderTrainer, GRPOTrainer):
    """trl's GRPOTrainer with SRO's rollouts and the follower's verdicts. Its prompts are the toxic texts."""

    # trl's loss itself divides by the number of tokens in the update.
    loss_is_scaled_for_ga = True

    def __init__(self, context: TrainingContext) -> None:
        config = context.config
        self._follower, self._config = context.follower, config
        self._rollouts = RolloutGenerator(context.leader, config)
        # trl drops the texts that do not fill an update: repeat them, so that there is at least one update.
        times = -(-config.batch_size * config.accumulation // len(context.texts))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "You are using 'rollout_func'")
            super().__init__(
                args=GRPOConfig(
                    **context.trl_arguments(), num_generations=config.rollouts, temperature=config.temperature,
                    max_completion_length=config.rollout_max_new_tokens,
                ),
                train_dataset=Dataset.from_dict({"prompt": list(context.texts) * times}),
                reward_funcs=[Reward("verdict", self._judge, source=PROMPT)],
                rollout_func=self.roll_out,
                **context.trl_trainer_arguments(),
            )  # fmt: skip

    def roll_out(self, prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        """Roll out an update's texts, each repeated once per rollout, in batches as SRO does; trl calls this."""
        texts = list(prompts)[:: self._config.rollouts]
        size = self._config.batch_size
        first = self._config.seed * SEED_STRIDE + self.state.global_step * self.args.gradient_accumulation_steps
        outputs = []
        for number, start in enumerate(range(0, len(texts), size)):
            outputs += self._rollouts.generate(texts[start : start + size], first + number)
        # Generating leaves the model in eval mode, in which trl would log its metrics as evaluation.
        self.leader.model.train()
        return {"prompt_ids": self.leader.prompt_ids(prompts), "completion_ids": outputs, "logprobs": None}

    def _judge(self, texts: Sequence[str], outputs: Sequence[str], columns: Mapping[str, Any]) -> list[float]:
        """Return 1 for each output that passes the follower and 0 for the others."""
        verdicts = self._follower.judge(texts, outputs, self.state.global_step)
        self.record_verdicts(verdicts)
        return [float(verdict == Verdict.PASS) for verdict in verdicts]


def train(context: TrainingContext) -> LeaderGRPOTrainer:
    """Train the context's leader with GRPO; see `repro.methods`."""
    return LeaderGRPOTrainer(context).train_or_resume()
