"""Stage "warm-up": makes a paraphraser of the leader, by denoising and from softened sentences."""

import json
from pathlib import Path

from metrics.util.files import remove_folder
from repro.config.section import RewritingConfig
from repro.distributed import broadcast_from_main, is_main_process, is_sharded
from repro.pipeline.engine import Stage, StageRun
from repro.pipeline.leader import LoadingConfig, load_leader
from repro.pipeline.softening import PAIRS
from repro.training.checkpoints import export_model
from repro.training.config import WarmupConfig
from repro.training.trainer import training_arguments
from repro.training.warmup import WarmupTrainer, warmup_rows


class _Config(WarmupConfig, LoadingConfig, RewritingConfig):
    """All fields that the warm-up reads."""


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
    paraphrases = inputs.paraphrases.pairs if inputs.paraphrases else ()
    softened = json.loads((run.folders["softening"] / PAIRS).read_text("utf-8"))
    rows = warmup_rows(neutral, paraphrases, softened, config, config.seed)
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
WARM_UP = Stage("warm-up", _build, _Config, _INPUTS, ("softening",), shared=True, distributed=True)
