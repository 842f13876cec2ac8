"""Stage "choice": exports the checkpoint with the best development J as a model folder."""

from __future__ import annotations

from safetensors.torch import load_file

from metrics.util.progress import progress
from repro.config.section import RewritingConfig
from repro.leader.export import export_model
from repro.pipeline.engine import Stage, StageRun
from repro.pipeline.leaders import LoadingConfig, load_leader, paraphraser
from repro.training.checkpoints import BEST


class ChoiceConfig(LoadingConfig, RewritingConfig):
    """All fields that the choice reads."""


def _build(run: StageRun[ChoiceConfig]) -> None:
    for file in progress([run.folders["training"] / BEST], "choice", unit="checkpoints"):
        leader = load_leader(paraphraser(run.inputs.leader, run.folders["warm-up"]), run.config)
        leader.load_trainable_state(load_file(file))
        export_model(leader, run.work / "model", run.config.max_new_tokens)


CHOICE = Stage("choice", _build, ChoiceConfig, inputs=("leader",), follows=("warm-up", "training"), shared=True)
