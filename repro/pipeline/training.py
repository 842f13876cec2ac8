"""Stage "training": trains the leader by the recipe's method, and scores it on development sentences on the way."""

from __future__ import annotations

import os
import random

from metrics.data.corpora import Corpus
from metrics.data.test_sets import TestSet
from metrics.data.text import is_copy, length_ratio, repetition
from metrics.generation.decoding import decoding_settings
from metrics.generation.rewriting import rewrite_all
from metrics.scoring.evaluator import Evaluator
from metrics.systems.baselines import delete_rude_words
from metrics.util.errors import InputError
from metrics.util.files import remove_folder, write_json
from repro.config.section import RewritingConfig
from repro.distributed import is_main_process
from repro.followers.content import ContentModel
from repro.leader.leader import Leader
from repro.methods.config import ContextConfig
from repro.methods.context import TrainingContext, training_method
from repro.pipeline.engine import Stage, StageRun
from repro.pipeline.leaders import LoadingConfig, load_leader, paraphraser, was_trained
from repro.pipeline.screener import JudgingConfig, load_follower
from repro.training.checkpoints import BEST
from repro.training.config import TextsConfig
from repro.training.development import DevelopmentScores

_MIN_WORDS = 3


class TrainingStageConfig(ContextConfig, LoadingConfig, JudgingConfig, TextsConfig, RewritingConfig):
    """All fields that the training reads."""


def _build(run: StageRun[TrainingStageConfig]) -> None:
    if was_trained(run.work, run.work / BEST):
        return
    config, inputs = run.config, run.inputs
    leader = load_leader(paraphraser(inputs.leader, run.folders["warm-up"]), config)
    texts = select_texts(inputs.toxic, config, config.seed)

    def evaluate(step: int) -> DevelopmentScores:
        return _score_development(leader, step, inputs.development, inputs.evaluator, config)

    context = TrainingContext(
        config,
        leader,
        load_follower(run.folders["screener"], config),
        texts,
        inputs.parallel.pairs if inputs.parallel else (),
        log=run.log,
        evaluate=evaluate,
        output_dir=run.work / "training",
    )
    outcome = training_method(config.method)(context).outcome()
    if is_main_process():
        write_json(run.work / "outcome.json", {**outcome, "texts": len(texts)})
        os.replace(run.work / "training" / BEST, run.work / BEST)
        remove_folder(run.work / "training")


def select_texts(corpus: Corpus, config: TextsConfig, seed: int) -> list[str]:
    """Select the toxic texts to roll out on, shuffled by `seed`.

    Raises:
        InputError: No text is short enough.
    """
    longest = config.toxic_max_words or 10**9
    texts = [text for text in corpus.toxic if _MIN_WORDS <= len(text.split()) <= longest]
    if config.toxic_min_content > 0:
        # No rewrite can keep the content of a text that consists of rude words alone.
        kept = ContentModel().cosine(texts, [delete_rude_words(text) for text in texts])
        texts = [text for text, cosine in zip(texts, kept, strict=True) if cosine >= config.toxic_min_content]
    random.Random(seed).shuffle(texts)
    texts = texts[: config.toxic_limit or None]
    if not texts:
        raise InputError(f"{config.toxic_corpus}: no toxic text of at most {longest} words; set toxic_max_words higher")
    return texts


def _score_development(
    leader: Leader, step: int, development: TestSet, evaluator: Evaluator, config: RewritingConfig
) -> DevelopmentScores:
    """The leader's scores on the development sentences, rewritten greedily."""
    sources = development.sources
    greedy = {"do_sample": False, "num_beams": 1, "max_new_tokens": config.max_new_tokens}
    outputs = rewrite_all(
        leader.loaded,
        sources,
        decoding_settings(leader.model, greedy),
        description=f"development, step {step}",
        batch_size=config.generation_batch_size,
    )
    scores = evaluator.score(sources, outputs, development.references)
    pairs = list(zip(sources, outputs, strict=True))
    n = len(pairs)
    return DevelopmentScores(
        step=step,
        j=float(scores.j.mean()),
        sta=float(scores.sta.mean()),
        sim=float(scores.sim.mean()),
        fl=float(scores.fl.mean()),
        copies=sum(is_copy(*pair) for pair in pairs) / n,
        length_ratio=sum(length_ratio(*pair) for pair in pairs) / n,
        repetition=sum(repetition(output) for output in outputs) / n,
    )


TRAINING = Stage(
    "training",
    _build,
    TrainingStageConfig,
    inputs=("leader", "toxic", "parallel", "development", "evaluator", "content_model", "screener"),
    follows=("screener", "warm-up"),
    shared=True,
    distributed=True,
)
