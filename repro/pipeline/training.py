"""Stages "training" and "choice": train the leader by the recipe's method, and export its best checkpoint.

During training the leader is scored on the development sentences; the checkpoint with the best J is the one chosen.
"""

import json
import os
import random
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from metrics.data.corpora import Corpus
from metrics.data.text import is_copy, length_ratio, repetition
from metrics.generation.decoding import decoding_settings
from metrics.generation.rewriting import rewrite_all
from metrics.util.errors import InputError
from metrics.util.files import remove_folder, write_json
from metrics.util.progress import progress
from repro.config.inputs import Inputs
from repro.config.section import RewritingConfig
from repro.distributed import is_main_process
from repro.followers.edits import compare
from repro.leader.leader import Leader
from repro.methods.config import ContextConfig
from repro.methods.context import TrainingContext, training_method
from repro.pipeline.engine import Stage, StageRun
from repro.pipeline.leader import LoadingConfig, load_leader, load_likelihood, paraphraser
from repro.pipeline.screener import JudgingConfig, load_follower
from repro.pipeline.warm_up import was_trained
from repro.training.checkpoints import BEST, export_model
from repro.training.config import TextsConfig, TrainingConfig
from repro.training.development import DevelopmentScores, best_step
from repro.training.tracking import tensorboard_folder

_MIN_WORDS = 3
# Development sentences whose rewrites the log and the trackers show.
_SAMPLES = 8


class _TrainingConfig(ContextConfig, LoadingConfig, JudgingConfig, TextsConfig, RewritingConfig):
    """All fields that the training reads."""


class _ChoiceConfig(LoadingConfig, RewritingConfig):
    """All fields that the choice reads."""


@dataclass(frozen=True)
class TrainingOutcome:
    """How a training went.

    Attributes:
        history: The development scores at every evaluation, in the order of steps.
        stopped: Why the training ended.
        passed: Share of rollouts that passed the follower, in [0, 1], update by update.
        texts: Number of texts to roll out on.
    """

    history: list[DevelopmentScores]
    stopped: str
    passed: list[float]
    texts: int

    @property
    def best(self) -> DevelopmentScores:
        """The development scores of the chosen checkpoint."""
        return next(scores for scores in self.history if scores.step == best_step(self.history))

    def passes_per_epoch(self, config: TrainingConfig) -> list[float]:
        """Return the share of rollouts that passed, epoch by epoch; the last epoch may be incomplete."""
        updates = config.epoch_updates(self.texts)
        return [float(np.mean(self.passed[i : i + updates])) for i in range(0, len(self.passed), updates)]


def load_outcome(folder: Path) -> TrainingOutcome:
    """Load what the stage "training" left in `folder`."""
    stored = json.loads((folder / "outcome.json").read_text("utf-8"))
    history = [DevelopmentScores(**scores) for scores in stored["history"]]
    return TrainingOutcome(history, stored["stopped"], [u["passed"] for u in stored["passed"]], stored["texts"])


def _train(run: StageRun[_TrainingConfig]) -> None:
    if was_trained(run.work, run.work / BEST):
        return
    config, inputs = run.config, run.inputs
    leader = load_leader(paraphraser(inputs.leader, run.folders["warm-up"]), config)
    texts = select_texts(inputs.toxic, config, config.seed)
    evaluate = partial(_score_development, leader, inputs, config)
    needs_likelihood = config.follower == "guarded" and config.guard_likelihood > 0
    likelihood = load_likelihood(inputs.leader, config) if needs_likelihood else None
    follower = load_follower(run.folders["screener"], config, likelihood)
    pairs = inputs.parallel.pairs if inputs.parallel else ()
    folder, name = run.work / "training", run.out.resolve().name
    context = TrainingContext(config, leader, follower, texts, pairs, run.log, evaluate, folder, name)
    with tensorboard_folder(run.out / "tensorboard"):
        outcome = training_method(config.method)(context).outcome()
    if is_main_process():
        write_json(run.work / "outcome.json", {**outcome, "texts": len(texts)})
        os.replace(run.work / "training" / BEST, run.work / BEST)
        remove_folder(run.work / "training")


def select_texts(corpus: Corpus, config: TextsConfig, seed: int) -> list[str]:
    """Return the toxic texts to roll out on, shuffled.

    Args:
        corpus: The toxic texts.
        config: Limits of their length and content, and how many to take.
        seed: Seed of the order.

    Raises:
        InputError: No text is within the limits.
    """
    longest = config.toxic_max_words or 10**9
    texts = [text for text in corpus.toxic if _MIN_WORDS <= len(text.split()) <= longest]
    if config.toxic_min_content:
        # No rewrite can keep the content of a text that consists of rude words alone.
        texts = [text for text in texts if compare(text, text).content_words >= config.toxic_min_content]
    random.Random(seed).shuffle(texts)
    texts = texts[: config.toxic_limit or None]
    if not texts:
        limits = f"toxic_max_words={config.toxic_max_words} and toxic_min_content={config.toxic_min_content}"
        problem = f"none of its {len(corpus.toxic)} toxic texts has {_MIN_WORDS} words and is within {limits}"
        raise InputError(f"{config.toxic_corpus}: {problem}; 0 turns a limit off")
    return texts


def _score_development(leader: Leader, inputs: Inputs, config: RewritingConfig, step: int) -> DevelopmentScores:
    """The leader's scores on the development sentences, rewritten greedily."""
    sources = inputs.development.sources
    greedy = {"do_sample": False, "num_beams": 1, "max_new_tokens": config.max_new_tokens}
    settings, title = decoding_settings(leader.model, greedy), f"development, step {step}"
    outputs = rewrite_all(leader.loaded, sources, settings, description=title, batch_size=config.generation_batch_size)
    scores = inputs.evaluator.score(sources, outputs, inputs.development.references)
    pairs = list(zip(sources, outputs, strict=True))
    n = len(pairs)
    j = scores.metric("j").tolist()
    samples = [{"source": s, "rewrite": o, "j": round(value, 4)} for (s, o), value in zip(pairs, j, strict=True)][
        :_SAMPLES
    ]
    return DevelopmentScores(
        step,
        **{name: float(scores.metric(name).mean()) for name in ("j", "sta", "sim", "fl")},
        copies=sum(is_copy(*pair) for pair in pairs) / n,
        length_ratio=sum(length_ratio(*pair) for pair in pairs) / n,
        repetition=sum(repetition(output) for output in outputs) / n,
        samples=samples,
    )


def _choose(run: StageRun[_ChoiceConfig]) -> None:
    # One step, to show the stage's progress line.
    for file in progress([run.folders["training"] / BEST], "choice", unit="checkpoints"):
        leader = load_leader(paraphraser(run.inputs.leader, run.folders["warm-up"]), run.config)
        leader.load_trainable_state(load_file(file))
        export_model(leader, run.work / "model", run.config.max_new_tokens)


_INPUTS = ("leader", "toxic", "parallel", "development", "evaluator", "screener")
TRAINING = Stage("training", _train, _TrainingConfig, _INPUTS, ("screener", "warm-up"), shared=True, distributed=True)
CHOICE = Stage("choice", _choose, _ChoiceConfig, inputs=("leader",), follows=("warm-up", "training"), shared=True)
