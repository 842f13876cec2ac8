"""DPO on passing pairs only, by trl's DPOTrainer: SRO's baseline that learns nothing from what failed.

The untrained leader answers as many texts as SRO would roll out; whatever passes is preferred to its toxic text, and
the updates cycle through these pairs. Of SRO's objective β is kept; ε is not, as trl's "sigmoid" loss ignores label
smoothing.

Killed and resumed it equals an unbroken run: rollouts are seeded by their draw and kept batch by batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from metrics.util.errors import InputError
from metrics.util.files import append_json_lines, read_json_lines
from metrics.util.progress import progress
from repro.followers.follower import KINDS, PASS
from repro.methods.sro import roll_out, written
from repro.methods.task import Task
from repro.methods.trl_training import TrlTraining, trl_arguments, updates, whole_updates

ROLLOUTS = "rollouts.jsonl"


class DPO(TrlTraining, DPOTrainer):
    """Rows have `prompt_ids`, `chosen_ids` and `rejected_ids`. The reference is read once, before the first update."""

    Config = DPOConfig

    def __init__(self, task: Task, rows: Sequence[dict[str, list[int]]]) -> None:
        settings = {
            "beta": task.config.beta,
            "loss_type": ["sigmoid"],
            "max_length": None,
            "precompute_ref_log_probs": True,
        }
        super().__init__(task, Dataset.from_list(list(rows)), settings)

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
    config, leader = task.config, task.leader
    path = task.folder / ROLLOUTS
    done = {batch["draw"]: (batch["outputs"], batch["kinds"]) for batch in read_json_lines(path)}
    draws = range(updates(task) * config.accumulation)
    missing = [draw for draw in draws if draw not in done]
    with append_json_lines(path) as append:
        for draw in progress(missing, "rollouts"):
            texts = _batch(task, draw)
            outputs = roll_out(leader, texts, config, config.seed * 1_000_003 + draw)
            sources = [text for text in texts for _ in range(config.rollouts)]
            kinds = task.follower.judge(sources, written(leader, outputs), draw).tolist()
            done[draw] = outputs, kinds
            append({"draw": draw, "outputs": outputs, "kinds": kinds})
    rollouts = [
        Rollout(text, output, kind)
        for draw in draws
        for text, output, kind in zip(
            (text for text in _batch(task, draw) for _ in range(config.rollouts)), *done[draw], strict=True
        )
    ]
    kinds = [KINDS[rollout.kind] for rollout in rollouts]
    if missing:
        task.log({"rollouts": len(kinds), **{kind: kinds.count(kind) / len(kinds) for kind in sorted(set(kinds))}})
    if not any(rollout.passed for rollout in rollouts):
        raise InputError(f"none of {len(rollouts)} rollouts passed, {config.method} has nothing to learn from")
    return rollouts


def _batch(task: Task, draw: int) -> list[str]:
    size = task.config.batch_size
    return [task.texts[i % len(task.texts)] for i in range(draw * size, (draw + 1) * size)]


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
    trainer.fit()
    return trainer
