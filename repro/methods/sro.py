"""SRO: roll out, ask the follower, learn from its answers (arXiv 2410.20298; the objective: repro/objective.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from metrics.generation.decoding import sampler_supports
from metrics.generation.rewriting import generate_ids
from metrics.generation.sampler import sample_ids
from metrics.generation.tokens import get_eos_token_ids
from repro.distributed import global_mean_loss, num_processes, rank, unsharded
from repro.followers.follower import KINDS, PASS, Follower
from repro.leader.config import RolloutConfig
from repro.leader.leader import Leader, dropout
from repro.methods.config import SROConfig
from repro.methods.task import Task
from repro.training.objective import sro_loss
from repro.training.trainer import Development, Log, TextTrainer


class SROTrainer(TextTrainer):
    """Rows have `text` and `length`; every step rolls out, asks, and learns."""

    def __init__(
        self,
        leader: Leader,
        follower: Follower,
        config: SROConfig,
        keywords: dict[str, Any],
        texts: Sequence[str],
        log: Log,
        *,
        develop: Callable[[int], Development] | None = None,
        stop: Callable[[Sequence[Development]], str | None] = lambda _: None,
    ) -> None:
        rows = [{"text": t, "length": len(t.split())} for t in texts]
        if config.rollout_engine == "none":
            # Where a copy is rolled out with, it is made before weights are divided.
            leader.model_as(config.rollout_dtype)
        super().__init__(leader, keywords, rows, log, develop, stop)
        self.follower = follower
        self.config = config
        self._micro_batch = (-1, 0)

    def _next_draw(self) -> int:
        """A number for this micro-batch that depends on its place in training alone."""
        step, count = self._micro_batch
        count = count + 1 if step == self.state.global_step else 0
        self._micro_batch = (self.state.global_step, count)
        return self.state.global_step * self.args.gradient_accumulation_steps + count

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Texts -> what is learned from: rollouts and texts as tokens, verdicts, and which text each belongs to."""
        sources = inputs["text"]
        draw = self._next_draw()
        with unsharded(self.model):
            outputs = roll_out(self.leader, sources, self.config, self.config.seed * 1_000_003 + draw)
        texts = [text for text in sources for _ in range(self.config.rollouts)]
        answers = written(self.leader, outputs)
        kinds = self.follower.judge(texts, answers, draw)
        self.note_verdicts([KINDS[kind] for kind in kinds])
        owners = [i // self.config.rollouts for i in range(len(outputs))]
        # The best first: a text's first pass is what its fails are compared with.
        order = np.argsort(-self.follower.grade(texts, answers), kind="stable").tolist()
        prompts = self.leader.prompt_ids(sources)
        rejected = prompts if self.config.rejected_with_prompt else self.leader.target_ids(sources)
        return {
            "prompts": prompts,
            "outputs": [outputs[i] for i in order],
            "owners": [owners[i] for i in order],
            "rejected": rejected,
            "passed": [bool(kinds[i] == PASS) for i in order],
        }

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        self.leader.model.eval()
        losses = self.losses(**inputs)
        return global_mean_loss(losses.sum(), len(losses))

    def losses(
        self,
        prompts: list[list[int]],
        outputs: list[list[int]],
        owners: list[int],
        rejected: list[list[int]],
        passed: list[bool],
    ) -> torch.Tensor:
        """The SRO loss of each rollout, [n].

        prompts, rejected: of each text, as tokens. outputs, owners, passed: of each rollout, owners the place of its
        text. A text's first pass is the sibling of its fails. Only passes need Δ of the rejected text, and it is
        computed once per text. lone_fail_weight scales the fails that no passing sibling answers; imitation adds, on
        passes, that many times the mean negative log-likelihood per token of y.
        """
        config, n = self.config, len(outputs)
        first: dict[int, int] = {}
        for i in range(n):
            if passed[i]:
                first.setdefault(owners[i], i)
        policy, reference = self.logprobs(
            [prompts[owner] for owner in (*owners, *first)],
            outputs + [rejected[owner] for owner in first],
            shift_right=config.shift_right,
        )
        delta = policy - reference
        zero = delta.new_zeros(())
        delta_y, of_text = delta[:n], dict(zip(first, delta[n:], strict=True))
        delta_x = torch.stack([of_text.get(owner, zero) for owner in owners])
        siblings = [first.get(owner) if config.siblings else None for owner in owners]
        delta_sibling = torch.stack([zero if s is None else delta_y[s] for s in siblings])
        verdicts = torch.tensor(passed, device=delta.device)
        loss = sro_loss(delta_y, delta_x, verdicts, config.beta, config.epsilon, delta_sibling)
        lone = torch.tensor([not p and s is None for p, s in zip(passed, siblings, strict=True)], device=delta.device)
        loss = torch.where(lone, config.lone_fail_weight * loss, loss)
        if config.imitation:
            lengths = torch.tensor([len(tokens) for tokens in outputs], device=delta.device)
            loss = loss - config.imitation * verdicts * policy[:n] / lengths
        return loss


def roll_out(leader: Leader, texts: Sequence[str], config: RolloutConfig, seed: int) -> list[list[int]]:
    """`config.rollouts` rollouts of each text as tokens, those of one text together; equal seeds roll out alike."""
    prompts, tokenizer = leader.prompt_ids(texts), leader.tokenizer
    room = config.rollout_max_new_tokens
    settings: dict[str, Any] = {"max_new_tokens": room, "do_sample": config.sample, "num_beams": 1}
    if config.sample:
        settings |= {"temperature": config.temperature, "top_k": 0, "top_p": 1.0}
    with torch.random.fork_rng():
        # Before the seed is set: vLLM, where it begins, sets one of its own.
        served = leader.served_by_vllm(config.rollout_dtype, room) if config.rollout_engine == "vllm" else None
        # What dropout, vLLM and transformers' own generation draw: otherwise in each of several processes.
        torch.manual_seed(seed + 7_368_787 * rank())
        if served is not None:
            outputs = served([prompt for prompt in prompts for _ in range(config.rollouts)], settings)
        else:
            outputs = _by_model(leader, prompts, config, settings, seed)
    # A model that generates nothing at all still has its end of sequence to be judged by.
    return [tokens or [tokenizer.eos_token_id] for tokens in outputs]


def _by_model(
    leader: Leader, prompts: Sequence[Sequence[int]], config: RolloutConfig, settings: dict[str, Any], seed: int
) -> list[list[int]]:
    """Rollouts by the suite's sampler, or by transformers' own generation where that cannot serve the leader."""
    tokenizer, model = leader.tokenizer, leader.model_as(config.rollout_dtype)
    with dropout(model, config.rollout_dropout):
        if not sampler_supports(model):
            settings = {**settings, "num_return_sequences": config.rollouts}
            return generate_ids(model, tokenizer, prompts, leader.seq2seq, settings)
        return sample_ids(
            model,
            prompts,
            num_return_sequences=config.rollouts,
            temperature=config.temperature if config.sample else None,
            max_new_tokens=config.rollout_max_new_tokens,
            eos_token_ids=get_eos_token_ids(model, tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            seed=seed,
            shard=(rank(), num_processes()),
        )


def written(leader: Leader, outputs: Sequence[Sequence[int]]) -> list[str]:
    """What the tokens say, white space folded."""
    texts = leader.tokenizer.batch_decode([list(tokens) for tokens in outputs], skip_special_tokens=True)
    return [" ".join(text.split()) for text in texts]


def train(task: Task) -> SROTrainer:
    trainer = SROTrainer(
        task.leader,
        task.follower,
        task.config,
        task.arguments(),
        task.texts,
        task.log,
        develop=task.develop,
        stop=task.stop,
    )
    trainer.fit()
    return trainer
