"""Loading the leader that a stage trains."""

from __future__ import annotations

from pathlib import Path

import torch

from metrics.generation.engines.vllm import require_supported
from metrics.models.loading import load_model
from metrics.models.resolve import ModelRef, resolve_model
from metrics.util.errors import name_option
from metrics.util.files import remove_folder
from repro.config.section import SeedConfig
from repro.distributed import broadcast_from_main, is_main_process
from repro.leader.config import LeaderConfig, RolloutEngineConfig
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
