"""Stage "warm-up": makes a paraphraser of the leader, by denoising; and what all stages that train a leader share."""

from pathlib import Path

import torch

from metrics.generation.engines.vllm import require_supported
from metrics.generation.reasoning import find_reasoning
from metrics.models.loading import load_model, require_merged
from metrics.models.resolve import ModelRef, resolve_model
from metrics.util.errors import InputError, name_option
from metrics.util.files import remove_folder
from repro.config.section import RewritingConfig, SeedConfig
from repro.distributed import broadcast_from_main, is_main_process, is_sharded
from repro.leader.config import LeaderConfig, RolloutEngineConfig
from repro.leader.leader import Leader
from repro.pipeline.engine import Stage, StageRun
from repro.training.checkpoints import export_model
from repro.training.config import WarmupConfig
from repro.training.trainer import training_arguments
from repro.training.warmup import WarmupTrainer, denoising_rows


class LoadingConfig(RolloutEngineConfig, SeedConfig, LeaderConfig):
    """The fields that decide how a leader is loaded."""


class _Config(WarmupConfig, LoadingConfig, RewritingConfig):
    """All fields that the warm-up reads."""


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
        loaded, train=config.train, max_length=config.max_length, lora_rank=config.lora_rank, dtype=config.train_dtype
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


def _build(run: StageRun[_Config]) -> None:
    config, inputs = run.config, run.inputs
    if config.warmup == "none" or was_trained(run.work, run.work / "model"):
        return
    neutral = [text for corpus in inputs.warming for text in dict.fromkeys(corpus.neutral)]
    pairs = inputs.paraphrases.pairs if inputs.paraphrases else ()
    rows = denoising_rows(neutral, pairs, config, config.seed)
    arguments = training_arguments(
        run.work / "training",
        max_steps=config.warmup_steps,
        per_device_train_batch_size=config.warmup_batch_size,
        learning_rate=config.warmup_learning_rate,
        lr_scheduler_type="linear",
        save_steps=max(10, config.warmup_steps // 10),
        seed=config.seed,
    )
    leader = load_leader(inputs.leader, config)
    WarmupTrainer(leader, arguments, rows, log=run.log).train_or_resume()
    trained = leader.trainable_state()
    if is_main_process():
        if is_sharded():
            # A sharded model cannot be exported.
            leader = load_leader(inputs.leader, config)
            leader.load_trainable_state(trained)
        export_model(leader, run.work / "model", config.max_new_tokens)
        remove_folder(run.work / "training")


_INPUTS = ("leader", "warming", "paraphrases")
WARM_UP = Stage("warm-up", _build, _Config, _INPUTS, shared=True, distributed=True)
