"""DPO on passing pairs only, by trl's DPOTrainer: SRO's baseline that learns nothing from what failed.

The untrained leader answers as many texts as SRO would roll out; whatever passes is preferred to its toxic text, and
the updates cycle through these pairs. Of SRO's objective β is kept; ε is not, as trl's "sigmoid" loss ignores label
smoothing. The pairs reach trl as tokens, those that were rolled out: written and read again they could be others.

Killed and resumed it equals an unbroken run: rollouts are seeded by their draw and kept batch by batch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from metrics.errors import InputError
from metrics.progress import progress
from repro.follower import KINDS, PASS
from repro.methods.sro import game_of, roll_out, written
from repro.training import LeaderTraining, Task

ROLLOUTS = "rollouts.jsonl"


class DPO(LeaderTraining, DPOTrainer):
    """Rows have `prompt_ids`, `chosen_ids` and `rejected_ids`. The reference is read once, before the first update."""

    def __init__(self, task: Task, rows: Sequence[dict[str, list[int]]]) -> None:
        self.attend(task.leader, task.log, task.develop, task.stop)
        dataset = Dataset.from_list(list(rows))
        super().__init__(
            model=task.leader.model,
            args=DPOConfig(
                **trl_arguments(task),
                beta=task.recipe.beta,
                loss_type=["sigmoid"],
                max_length=None,
                precompute_ref_log_probs=True,
            ),
            train_dataset=dataset,
            # `evaluate` does not read it, but the Trainer wants one before it evaluates at all.
            eval_dataset=dataset.select([0]),
            processing_class=task.leader.tokenizer,
        )
        self.begin()

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        """The rows as they are; trl would read prompts and answers as text."""
        return dataset


@dataclass(frozen=True)
class Rollout:
    """What the untrained leader answered to a text, as tokens, and the kind of verdict on it."""

    text: str
    output: list[int]
    kind: int

    @property
    def passed(self) -> bool:
        return self.kind == PASS


def untrained_rollouts(task: Task) -> list[Rollout]:
    """SRO's budget of rollouts of the leader as it is: batch after batch of the texts in order, again from the start.

    They are kept in the task's folder as they come; a killed run goes on with the next batch.
    Errors: not one of them passes.
    """
    recipe, leader, game = task.recipe, task.leader, game_of(task.recipe)
    path = task.folder / ROLLOUTS
    done = _read(path)
    draws = range(updates(task) * recipe.accumulation)
    missing = [draw for draw in draws if draw not in done]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        for draw in progress(missing, "rollouts"):
            texts = _batch(task, draw)
            outputs = roll_out(leader, texts, game, game.seed * 1_000_003 + draw)
            sources = [text for text in texts for _ in range(game.rollouts)]
            kinds = task.follower.judge(sources, written(leader, outputs), draw).tolist()
            done[draw] = outputs, kinds
            # A leading line end keeps this record apart from one that a killed run left half-written.
            file.write("\n" + json.dumps({"draw": draw, "outputs": outputs, "kinds": kinds}) + "\n")
            file.flush()
    rollouts = [
        Rollout(text, output, kind)
        for draw in draws
        for text, output, kind in zip(
            (text for text in _batch(task, draw) for _ in range(game.rollouts)), *done[draw], strict=True
        )
    ]
    kinds = [KINDS[rollout.kind] for rollout in rollouts]
    if missing:
        task.log({"rollouts": len(kinds), **{kind: kinds.count(kind) / len(kinds) for kind in sorted(set(kinds))}})
    if not any(rollout.passed for rollout in rollouts):
        raise InputError(
            f"recipe {recipe.name}: none of {len(rollouts)} rollouts passed, {recipe.method} has nothing to learn from"
        )
    return rollouts


def _batch(task: Task, draw: int) -> list[str]:
    size = task.recipe.batch_size
    return [task.texts[i % len(task.texts)] for i in range(draw * size, (draw + 1) * size)]


def _read(path: Path) -> dict[int, tuple[list[list[int]], list[int]]]:
    """Rollouts and verdicts by draw; empty lines and a killed run's torn last are passed over."""
    done = {}
    if path.is_file():
        for line in path.read_text("utf-8", errors="replace").split("\n"):
            try:
                batch = json.loads(line)
                done[batch["draw"]] = batch["outputs"], batch["kinds"]
            except ValueError:
                continue
    return done


def updates(task: Task) -> int:
    """The updates of the recipe's budget, whatever a method learns from."""
    recipe = task.recipe
    return recipe.steps or recipe.epochs * -(-len(task.texts) // (recipe.batch_size * recipe.accumulation))


def whole_updates(task: Task, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, and as many of the first ones again as fill the last update of a pass over them."""
    size = task.recipe.batch_size * task.recipe.accumulation * task.recipe.rollouts
    return [rows[i % len(rows)] for i in range(-(-len(rows) // size) * size)]


def trl_arguments(task: Task) -> dict[str, Any]:
    """The recipe's budget as keywords of trl's configs: an update sees as many answers as one of SRO's sees rollouts.

    Errors: an encoder-decoder leader; trl trains none.
    """
    recipe = task.recipe
    if task.leader.seq2seq:
        raise InputError(
            f"recipe {recipe.name}: {recipe.leader} is an encoder-decoder model; trl trains causal ones only, "
            f"so method {recipe.method} cannot be used with it"
        )
    size = recipe.batch_size * recipe.rollouts
    return {
        **task.arguments(),
        "max_steps": updates(task),
        "per_device_train_batch_size": size,
        "per_device_eval_batch_size": size,
    }


def train(task: Task) -> DPO:
    trl_arguments(task)
    passed = [rollout for rollout in untrained_rollouts(task) if rollout.passed]
    texts = [rollout.text for rollout in passed]
    prompts, rejected = task.leader.prompt_ids(texts), task.leader.target_ids(texts)
    rows = [
        {"prompt_ids": prompt, "chosen_ids": rollout.output, "rejected_ids": toxic}
        for prompt, rollout, toxic in zip(prompts, passed, rejected, strict=True)
    ]
    trainer = DPO(task, whole_updates(task, rows))
    with task.leader.dropout(0.0):
        trainer.fit()
    return trainer
