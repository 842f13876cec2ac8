"""Online DPO by trl (arXiv 2402.04792): the leader rolls out as it learns, and passes are preferred to fails.

trl compares two rollouts of a prompt. Here a text's rollouts are SRO's, half as many pairs as rollouts: a pass with a
fail of the same text wherever there are both. A pair of two passes or two fails prefers neither: it holds the same
rollout twice, so that its gradient is 0. β is SRO's; the reference is the leader before training.

trl 1.16 has no Nash-MD and no XPO any more, which it built on this trainer.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset

from metrics.rewards import PROMPT, Reward
from metrics.util.errors import InputError
from repro.followers.follower import Verdict
from repro.leader.rollouts import RolloutGenerator
from repro.methods.context import TrainingContext
from repro.methods.sro import SEED_STRIDE
from repro.methods.untrained_rollouts import Rollout
from repro.training.trainer import LeaderTrainer

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "You are importing from 'trl.experimental'")
    from trl.experimental.online_dpo import OnlineDPOConfig, OnlineDPOTrainer


class LeaderOnlineDPOTrainer(LeaderTrainer, OnlineDPOTrainer):
    """trl's OnlineDPOTrainer with SRO's rollouts and the follower's verdicts. Its prompts are the toxic texts."""

    def __init__(self, context: TrainingContext) -> None:
        config = context.config
        if config.rollouts % 2:
            raise InputError("online-dpo pairs the rollouts of a text; set rollouts to an even number")
        # trl adds the gradients of micro-batches without dividing them: an update is one batch.
        size = config.batch_size * config.accumulation
        budget = {"per_device_train_batch_size": size, "gradient_accumulation_steps": 1}
        arguments = {**context.trl_arguments(), **budget}
        self._follower, self._config = context.follower, config
        self._rollouts = RolloutGenerator(context.leader, config)
        self._rewards: list[float] = []
        times = -(-size // len(context.texts))
        super().__init__(
            args=OnlineDPOConfig(
                **arguments, beta=[config.beta], max_new_tokens=config.rollout_max_new_tokens,
                max_length=config.max_length + config.rollout_max_new_tokens,
            ),
            train_dataset=Dataset.from_dict({PROMPT: list(context.texts) * times}),
            reward_funcs=[Reward("verdict", lambda *texts: self._rewards, source=PROMPT)],
            **context.trl_trainer_arguments(),
        )  # fmt: skip

    def roll_out(self, texts: Sequence[str]) -> list[tuple[Rollout, Rollout]]:
        """Roll out an update's texts in batches as SRO does, and pair each text's rollouts by their verdicts."""
        config, step = self._config, self.state.global_step
        first, outputs = config.seed * SEED_STRIDE + step * config.accumulation, []
        for number, start in enumerate(range(0, len(texts), config.batch_size)):
            outputs += self._rollouts.generate(texts[start : start + config.batch_size], first + number)
        sources = [text for text in texts for _ in range(config.rollouts)]
        verdicts = self._follower.judge(sources, self.leader.decode(outputs), step)
        self.record_verdicts(verdicts)
        rollouts = [Rollout(*r) for r in zip(sources, outputs, (v == Verdict.PASS for v in verdicts), strict=True)]
        pairs = []
        for start in range(0, len(rollouts), config.rollouts):
            ranked = sorted(rollouts[start : start + config.rollouts], key=lambda rollout: not rollout.passed)
            half = config.rollouts // 2
            for better, worse in zip(ranked[:half], ranked[half:], strict=True):
                pairs.append((better, worse if better.passed != worse.passed else better))
        return pairs

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """Do trl's step, whose batch holds each text once for each of its pairs."""
        prompts = [text for text in inputs[PROMPT] for _ in range(self._config.rollouts // 2)]
        step: torch.Tensor = super().training_step(model, {**inputs, PROMPT: prompts}, num_items_in_batch)
        return step

    def _generate(self, model: Any, prompts: Sequence[str], images: Any = None) -> tuple[Any, ...]:
        """Return ids and masks of the prompts and of the first, then of the second rollouts of all pairs."""
        pairs = self.roll_out(prompts[:: self._config.rollouts // 2])
        rollouts = [pair[side] for side in (0, 1) for pair in pairs]
        self._rewards = [float(rollout.passed) for rollout in rollouts]
        # Generating leaves the model in eval mode.
        self.leader.model.train()
        prompt_ids = self.leader.prompt_ids([rollout.text for rollout in rollouts])
        left = self._pad(prompt_ids, left=True)
        return (*left, *self._pad([rollout.output for rollout in rollouts], left=False), None)

    def _pad(self, rows: Sequence[Sequence[int]], *, left: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Return token ids [n, longest] and their mask."""
        longest, device = max(map(len, rows)), self.accelerator.device
        ids = torch.full((len(rows), longest), self._tokenizer.pad_token_id, device=device)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            place = slice(longest - len(row), None) if left else slice(0, len(row))
            ids[i, place], mask[i, place] = torch.tensor(row, device=device), 1
        return ids, mask


def train(context: TrainingContext) -> LeaderOnlineDPOTrainer:
    """Train the context's leader with Online DPO; see `repro.methods`."""
    return LeaderOnlineDPOTrainer(context).train_or_resume()
