"""Loading the leader that a stage trains, and exporting it as a model folder."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import GenerationConfig

from metrics.generation.engines.vllm import require_supported
from metrics.models.loading import load_model
from metrics.models.prompts import write_prompt
from metrics.models.resolve import ModelRef, resolve_model
from metrics.util.errors import name_option
from metrics.util.files import atomic_folder, remove_folder
from repro.config.section import RewritingConfig, SeedConfig
from repro.distributed import broadcast_from_main, is_main_process
from repro.leader.config import LeaderConfig, RolloutEngineConfig
from repro.leader.export import export_model
from repro.leader.leader import Leader


class LoadingConfig(RolloutEngineConfig, SeedConfig, LeaderConfig):
    """The fields that decide how a leader is loaded."""


def load_leader(model: ModelRef, config: LoadingConfig) -> Leader:
    """Load a model as leader.

    Raises:
        InputError: The rollout engine is not installed, or does not support the model.
    """
    # The first weights of an adapter are random; nothing else in a leader is.
    torch.manual_seed(config.seed)
    loaded = load_model(model, prompt=config.prompt)
    if config.rollout_engine == "vllm":
        # Here, because a run should fail before the warm-up, and not after it.
        with name_option("rollout_engine: vllm"):
            require_supported(loaded)
    return Leader(
        loaded,
        train=config.train,
        max_length=config.max_length,
        lora_rank=config.lora_rank,
        dtype=config.train_dtype,
    )


def export_leader(leader: Leader, folder: Path, config: RewritingConfig) -> None:
    """Write a model folder that rewrites as this run does: weights, tokenizer, prompt and decoding settings."""
    with atomic_folder(folder) as target:
        export_model(leader, target)
        write_prompt(target, leader.prompt)
        stored = leader.model.generation_config
        tokens = {k: getattr(stored, k) for k in ("bos_token_id", "eos_token_id", "pad_token_id")}
        start = getattr(stored, "decoder_start_token_id", None)
        settings = {"max_new_tokens": config.max_new_tokens, "do_sample": False}
        GenerationConfig(**settings, **tokens, decoder_start_token_id=start).save_pretrained(target)


def paraphraser(leader: ModelRef, warm_up: Path) -> ModelRef:
    """Return the model that a method starts from: that of the stage "warm-up", or the leader if it left none."""
    return resolve_model(str(warm_up / "model")) if (warm_up / "model").is_dir() else leader


def was_trained(work: Path, result: Path) -> bool:
    """Whether a killed build had finished its training: it leaves `result` before it removes its checkpoints."""
    if not broadcast_from_main(result.exists):
        return False
    if is_main_process():
        remove_folder(work / "training")
    return True
