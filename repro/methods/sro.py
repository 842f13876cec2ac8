"""SRO: roll out, let the follower judge, learn from its verdicts (arXiv 2410.20298).

`repro.training.objective` has the loss of one rollout; this file has the step that computes it.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import torch

from repro.distributed import global_mean_loss, unsharded
from repro.followers.follower import Follower, Verdict
from repro.leader.leader import Leader
from repro.leader.rollouts import RolloutGenerator
from repro.leader.split_decoder import Tokens
from repro.methods.config import SROConfig
from repro.methods.context import TrainingContext
from repro.training.distributed_trainer import DistributedTrainer
from repro.training.objective import sro_loss

# Seeds of rollouts: this many times the recipe's seed, plus the number of the micro-batch.
SEED_STRIDE = 1_000_003


class SROTrainer(DistributedTrainer):
    """Trains a leader against a follower. Each step rolls out its texts, and learns from the verdicts on the rollouts.

    Args:
        arguments: Keyword arguments of `TrainingArguments`.
        texts: Toxic texts to roll out on.
        kwargs: `log` and `callbacks` of `LeaderTrainer`.
    """

    def __init__(
        self, leader: Leader, follower: Follower, config: SROConfig, arguments: dict[str, Any], texts: Sequence[str],
        **kwargs: Any,
    ) -> None:  # fmt: skip
        self.follower, self.config = follower, config
        self.rollouts = RolloutGenerator(leader, config)
        self._micro_batch = (-1, 0)
        rows = [{"text": text, "length": len(text.split())} for text in texts]
        super().__init__(leader, arguments, rows, **kwargs)

    def _next_micro_batch(self) -> int:
        """Return the number of this micro-batch in the training, which is the same after resuming."""
        step, count = self._micro_batch
        count = count + 1 if step == self.state.global_step else 0
        self._micro_batch = (self.state.global_step, count)
        return self.state.global_step * self.args.gradient_accumulation_steps + count

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Turn a batch of texts into the arguments of `losses`: roll out and collect verdicts."""
        texts = inputs["text"]
        micro_batch = self._next_micro_batch()
        with unsharded(self.model):
            outputs = self.rollouts.generate(texts, self.config.seed * SEED_STRIDE + micro_batch)
        sources = [text for text in texts for _ in range(self.config.rollouts)]
        rewrites = self.leader.decode(outputs)
        verdicts = self.follower.judge(sources, rewrites, micro_batch)
        self.record_verdicts(verdicts)
        # Best first: a text's first pass is the sibling that its fails are compared with.
        order = np.argsort(-self.follower.quality(sources, rewrites), kind="stable").tolist()
        prompts = self.leader.prompt_ids(texts)
        rejected = prompts if self.config.rejected_with_prompt else self.leader.target_ids(texts)
        return {
            "prompts": prompts,
            "outputs": [outputs[i] for i in order],
            "text_indices": [i // self.config.rollouts for i in order],
            "rejected": rejected,
            "passed": [verdicts[i] == Verdict.PASS for i in order],
        }

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Return the mean SRO loss over the rollouts of the micro-batch."""
        self.leader.model.eval()
        losses = self.losses(**inputs)
        return global_mean_loss(losses.sum(), len(losses))

    def losses(
        self, prompts: Tokens, outputs: list[list[int]], text_indices: list[int], rejected: Tokens, passed: list[bool]
    ) -> torch.Tensor:
        """Return the loss of each of n rollouts, [n].

        `lone_fail_weight` scales fails without a passing sibling. On passes, `imitation` times the mean negative
        log-likelihood per token is added.

        Args:
            prompts: Token ids of each text's prompt.
            outputs: Token ids of each rollout.
            text_indices: Index of each rollout's text in `prompts`.
            rejected: Token ids of each text, which its passes are preferred to.
            passed: Whether each rollout passed.
        """
        config, n = self.config, len(outputs)
        first_pass: dict[int, int] = {}
        for i in (i for i in range(n) if passed[i]):
            first_pass.setdefault(text_indices[i], i)
        # Only passes need Δ(x), so it is computed only for texts that have one, and once per text.
        targets = [*outputs, *(rejected[text] for text in first_pass)]
        policy, reference = self.token_logprobs(
            [prompts[text] for text in (*text_indices, *first_pass)], targets, shift_right=config.shift_right
        )
        deltas = [p - r for p, r in zip(policy, reference, strict=True)]
        row_of_text = dict(zip(first_pass, range(n, len(targets)), strict=True))
        siblings = [first_pass.get(text) if config.siblings else None for text in text_indices]
        # The row that each rollout is compared with: its text, a passing sibling, or none.
        others = [row_of_text[text_indices[i]] if passed[i] else siblings[i] for i in range(n)]
        pairs = [self._difference(deltas, targets, i, other) for i, other in enumerate(others)]
        delta_y, delta_other = (torch.stack(values) for values in zip(*pairs, strict=True))
        verdicts = torch.tensor(passed, device=delta_y.device)
        loss = sro_loss(delta_y, delta_other, verdicts, config.beta, config.epsilon, delta_other)
        lone = torch.tensor([not p and s is None for p, s in zip(passed, siblings, strict=True)], device=delta_y.device)
        loss = torch.where(lone, config.lone_fail_weight * loss, loss)
        if config.imitation:
            lengths = torch.tensor([len(tokens) for tokens in outputs], device=delta_y.device)
            loss = loss - config.imitation * verdicts * torch.stack([p.sum() for p in policy[:n]]) / lengths
        return loss

    def _difference(
        self, deltas: Sequence[torch.Tensor], targets: Tokens, row: int, other: int | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return Δ of a row and of the row that it is compared with, over the tokens that get credit; 0 for none."""
        if other is None:
            return deltas[row].sum(), deltas[row].new_zeros(())
        if self.config.credit == "all":
            return deltas[row].sum(), deltas[other].sum()
        masks = differing_tokens(targets[row], targets[other])
        own, others = (deltas[i] * deltas[i].new_tensor(m) for i, m in zip((row, other), masks, strict=True))
        return own.sum(), others.sum()


def differing_tokens(left: Sequence[int], right: Sequence[int]) -> tuple[list[float], list[float]]:
    """Return 1.0 for each token that is not part of what two sequences have in common, in order, and else 0.0."""
    masks = [1.0] * len(left), [1.0] * len(right)
    for start, other, size in SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks():
        masks[0][start : start + size] = masks[1][other : other + size] = [0.0] * size
    return masks


def train(context: TrainingContext) -> SROTrainer:
    """Train the context's leader with SRO."""
    config, arguments = context.config, context.arguments()
    trainer = SROTrainer(
        follower=context.follower,
        config=config,
        arguments=arguments,
        texts=context.texts,
        **context.trainer_arguments(),
    )
    return trainer.train_or_resume()
