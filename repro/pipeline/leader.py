"""Loading a leader, as every stage that trains or asks one does."""

from pathlib import Path

import torch

from metrics.generation.engines.vllm import require_supported
from metrics.generation.reasoning import find_reasoning
from metrics.models.loading import load_model, require_merged
from metrics.models.resolve import ModelRef, resolve_model
from metrics.util.errors import InputError, name_option
from repro.config.section import SeedConfig
from repro.leader.config import LeaderConfig, RolloutEngineConfig
from repro.leader.fluency import LikelihoodModel
from repro.leader.leader import Leader


class LoadingConfig(RolloutEngineConfig, SeedConfig, LeaderConfig):
    """The fields that decide how a leader is loaded."""


def load_leader(model: ModelRef, config: LoadingConfig) -> Leader:
    """Load a model as leader.

    Raises:
        InputError: The rollout engine is not installed, or does not support the model; or the model cannot be trained:
            it is an adapter that cannot be merged, its tokenizer has no end of sequence, or it reasons.
    """
    # The first weights of an adapter are random; nothing else in a leader is.
    torch.manual_seed(config.seed)
    loaded = load_model(model, prompt=config.prompt)
    require_merged(loaded, "leader")
    if loaded.tokenizer.eos_token_id is None:
        problem = "its tokenizer has no end-of-sequence token (eos_token), with which targets end in training"
        raise InputError(f"leader: {model.name}: {problem}; name one in its tokenizer_config.json")
    reasoning = find_reasoning(loaded)
    if reasoning is not None and reasoning.thinks:
        problem = "its chat template lets it reason before it answers, and a follower would judge the reasoning"
        raise InputError(f"leader: {model.name}: {problem}; set a prompt without chat:")
    if config.rollout_engine == "vllm":
        # Here, because a run should fail before the warm-up, and not after it.
        with name_option("rollout_engine: vllm"):
            require_supported(loaded)
    return Leader(
        loaded,
        train=config.train,
        train_feed_forward=config.train_feed_forward,
        max_length=config.max_length,
        lora_rank=config.lora_rank,
        dtype=config.train_dtype,
    )


def load_likelihood(model: ModelRef, config: LoadingConfig) -> LikelihoodModel:
    """Load the untouched leader, apart from the one that trains, to score texts.

    It has one trainable layer, because a leader copies its trainable layers as its reference.
    """
    return LikelihoodModel(load_leader(model, config.model_copy(update={"train": 1})))


def paraphraser(leader: ModelRef, warm_up: Path) -> ModelRef:
    """Return the model that a method starts from: that of the stage "warm-up", or the leader if it left none."""
    return resolve_model(str(warm_up / "model")) if (warm_up / "model").is_dir() else leader
