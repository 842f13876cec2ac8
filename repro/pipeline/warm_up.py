"""Stage "warm-up": makes a paraphraser of the leader, by denoising."""

from __future__ import annotations

from metrics.util.files import remove_folder
from repro.config.section import RewritingConfig
from repro.distributed import is_main_process, is_sharded
from repro.leader.export import export_model
from repro.pipeline.engine import Stage, StageRun
from repro.pipeline.leaders import LoadingConfig, load_leader, was_trained
from repro.training.config import WarmupConfig
from repro.training.denoising import denoising_rows
from repro.training.trainer import training_arguments
from repro.training.warmup import WarmupTrainer


class WarmupStageConfig(WarmupConfig, LoadingConfig, RewritingConfig):
    """All fields that the warm-up reads."""


def _build(run: StageRun[WarmupStageConfig]) -> None:
    config, inputs = run.config, run.inputs
    if config.warmup == "none" or was_trained(run.work, run.work / "model"):
        return
    rows = denoising_rows(
        [text for corpus in inputs.screening for text in corpus.neutral],
        [text for corpus in inputs.noise for text in corpus.toxic],
        inputs.paraphrases.pairs if inputs.paraphrases else (),
        config,
        config.seed,
    )
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


WARM_UP = Stage(
    "warm-up",
    _build,
    WarmupStageConfig,
    inputs=("leader", "noise", "paraphrases", "screening"),
    shared=True,
    distributed=True,
)
