"""SRO: roll out, ask the follower, learn from its answers (arXiv 2410.20298; the objective: repro/objective.py)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from metrics.generation.rewriting import end_tokens, generate_ids, has_bare_tokens
from metrics.generation.sampler import sample_ids
from repro.followers.follower import KINDS, PASS, Follower
from repro.leader.leader import Leader, dropout
from repro.training.distributed import mean_of_all, processes, rank, whole
from repro.training.objective import sro_loss
from repro.training.trainer import Development, Log, Task, TextTrainer


@dataclass(frozen=True)
class Game:
    """The rules of SRO training; see `repro.config.recipe.Recipe` for the fields."""

    beta: float
    epsilon: float
    rollouts: int
    sample: bool
    temperature: float
    rollout_max_new_tokens: int
    shift_right: bool
    rejected_with_prompt: bool
    rollout_dropout: float
    rollout_dtype: str
    rollout_engine: str
    siblings: bool
    lone_fail_weight: float
    imitation: float
    seed: int


class SROTrainer(TextTrainer):
    """Rows have `text` and `length`; every step rolls out, asks, and learns."""

    def __init__(
        self,
        leader: Leader,
        follower: Follower,
        game: Game,
        keywords: dict[str, Any],
        texts: Sequence[str],
        log: Log,
        *,
        develop: Callable[[int], Development] | None = None,
        stop: Callable[[Sequence[Development]], str | None] = lambda _: None,
    ) -> None:
        rows = [{"text": t, "length": len(t.split())} for t in texts]
        if game.rollout_engine == "none":
            # Where a copy is rolled out with, it is made before weights are divided.
            leader.model_as(game.rollout_dtype)
        super().__init__(leader, keywords, rows, log, develop, stop)
        self.follower = follower
        self.game = game
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
        with whole(self.model):
            outputs = roll_out(self.leader, sources, self.game, self.game.seed * 1_000_003 + draw)
        texts = [text for text in sources for _ in range(self.game.rollouts)]
        answers = written(self.leader, outputs)
        kinds = self.follower.judge(texts, answers, draw)
        self.note_verdicts([KINDS[kind] for kind in kinds])
        owners = [i // self.game.rollouts for i in range(len(outputs))]
        # The best first: a text's first pass is what its fails are compared with.
        order = np.argsort(-self.follower.grade(texts, answers), kind="stable").tolist()
        prompts = self.leader.prompt_ids(sources)
        rejected = prompts if self.game.rejected_with_prompt else self.leader.target_ids(sources)
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
        return mean_of_all(losses.sum(), len(losses))

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
        game, n = self.game, len(outputs)
        first: dict[int, int] = {}
        for i in range(n):
            if passed[i]:
                first.setdefault(owners[i], i)
        policy, reference = self.logprobs(
            [prompts[owner] for owner in (*owners, *first)],
            outputs + [rejected[owner] for owner in first],
            shift_right=game.shift_right,
        )
        delta = policy - reference
        zero = delta.new_zeros(())
        delta_y, of_text = delta[:n], dict(zip(first, delta[n:], strict=True))
        delta_x = torch.stack([of_text.get(owner, zero) for owner in owners])
        siblings = [first.get(owner) if game.siblings else None for owner in owners]
        delta_sibling = torch.stack([zero if s is None else delta_y[s] for s in siblings])
        verdicts = torch.tensor(passed, device=delta.device)
        loss = sro_loss(delta_y, delta_x, verdicts, game.beta, game.epsilon, delta_sibling)
        lone = torch.tensor([not p and s is None for p, s in zip(passed, siblings, strict=True)], device=delta.device)
        loss = torch.where(lone, game.lone_fail_weight * loss, loss)
        if game.imitation:
            lengths = torch.tensor([len(tokens) for tokens in outputs], device=delta.device)
            loss = loss - game.imitation * verdicts * policy[:n] / lengths
        return loss


def roll_out(leader: Leader, texts: Sequence[str], game: Game, seed: int) -> list[list[int]]:
    """`game.rollouts` rollouts of each text as tokens, those of one text together; equal seeds roll out alike."""
    prompts, tokenizer = leader.prompt_ids(texts), leader.tokenizer
    room = game.rollout_max_new_tokens
    settings: dict[str, Any] = {"max_new_tokens": room, "do_sample": game.sample, "num_beams": 1}
    if game.sample:
        settings |= {"temperature": game.temperature, "top_k": 0, "top_p": 1.0}
    with torch.random.fork_rng():
        # Before the seed is set: vLLM, where it begins, sets one of its own.
        served = leader.served_by_vllm(game.rollout_dtype, room) if game.rollout_engine == "vllm" else None
        # What dropout, vLLM and transformers' own generation draw: otherwise in each of several processes.
        torch.manual_seed(seed + 7_368_787 * rank())
        if served is not None:
            outputs = served([prompt for prompt in prompts for _ in range(game.rollouts)], settings)
        else:
            outputs = _by_model(leader, prompts, game, settings, seed)
    # A model that generates nothing at all still has its end of sequence to be judged by.
    return [tokens or [tokenizer.eos_token_id] for tokens in outputs]


def _by_model(
    leader: Leader, prompts: Sequence[Sequence[int]], game: Game, settings: dict[str, Any], seed: int
) -> list[list[int]]:
    """Rollouts by the suite's sampler, or by transformers' own generation where that cannot serve the leader."""
    tokenizer, model = leader.tokenizer, leader.model_as(game.rollout_dtype)
    with dropout(model, game.rollout_dropout):
        if not has_bare_tokens(model):
            settings = {**settings, "num_return_sequences": game.rollouts}
            return generate_ids(model, tokenizer, prompts, leader.seq2seq, settings)
        return sample_ids(
            model,
            prompts,
            copies=game.rollouts,
            temperature=game.temperature if game.sample else None,
            max_new_tokens=game.rollout_max_new_tokens,
            ends=end_tokens(model, tokenizer),
            pad=tokenizer.pad_token_id,
            seed=seed,
            part=(rank(), processes()),
        )


def written(leader: Leader, outputs: Sequence[Sequence[int]]) -> list[str]:
    """What the tokens say, white space folded."""
    texts = leader.tokenizer.batch_decode([list(tokens) for tokens in outputs], skip_special_tokens=True)
    return [" ".join(text.split()) for text in texts]


def game_of(recipe: Any) -> Game:
    return Game(**{field.name: getattr(recipe, field.name) for field in dataclasses.fields(Game)})


def train(task: Task) -> SROTrainer:
    trainer = SROTrainer(
        task.leader,
        task.follower,
        game_of(task.recipe),
        task.arguments(),
        task.texts,
        task.log,
        develop=task.develop,
        stop=task.stop,
    )
    trainer.fit()
    return trainer
