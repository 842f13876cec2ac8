"""Stage "rewriting": lets every system of the recipe rewrite the test sentences."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from metrics.models.resolve import ModelRef, resolve_model
from metrics.systems.resolve import Rewrites, System, resolve_system
from metrics.systems.rewriting import rewrite
from metrics.util.files import atomic_file, write_json
from metrics.util.progress import progress
from repro.baselines import UNTRAINED
from repro.baselines.config import BaselineConfig
from repro.baselines.setting import Setting, untrained
from repro.config.section import ScoringConfig
from repro.followers.follower import ScreenerFollower
from repro.pipeline.engine import Stage, StageRun
from repro.pipeline.facts import FactsConfig, model_facts
from repro.pipeline.leaders import paraphraser
from repro.pipeline.screener import JudgingConfig, load_screener


class RewritingStageConfig(BaselineConfig, JudgingConfig, ScoringConfig, FactsConfig):
    """All fields that the rewriting reads."""


def _build(run: StageRun[RewritingStageConfig]) -> None:
    config, inputs = run.config, run.inputs
    models = {"warm-up": paraphraser(inputs.leader, run.folders["warm-up"])}
    if config.method != "none":
        models[config.method] = resolve_model(str(run.folders["choice"] / "model"))
    setting = Setting(
        config,
        inputs.leader,
        models.get(config.method, models["warm-up"]),
        inputs.test,
        # Without the guards: they reject half of a model's likeliest rewrites, and nearly all samples.
        lambda: ScreenerFollower(load_screener(run.folders["screener"], config)),
    )
    frames, systems = [], []
    for name in progress(config.systems, "rewriting", unit="systems"):
        if name in UNTRAINED:
            rewrites = untrained(name)(setting)
        else:
            system = _find_system(name, models, inputs.others, config)
            rewrites = rewrite(system, inputs.test, batch_size=config.generation_batch_size, seed=config.seed)
        if rewrites.kind == "model" and name not in inputs.others:
            rewrites = dataclasses.replace(rewrites, card={**rewrites.card, **model_facts(name, config, inputs)})
        description = {field.name: getattr(rewrites, field.name) for field in dataclasses.fields(rewrites)}
        outputs = description.pop("outputs")
        systems.append(description)
        frames.append(pd.DataFrame({"system": name, "source": inputs.test.sources, "output": outputs}))
    with atomic_file(run.work / "rewrites.parquet") as temporary:
        pd.concat(frames).to_parquet(temporary, index=False)
    write_json(run.work / "systems.json", systems)


def _find_system(
    name: str, models: Mapping[str, ModelRef], others: Mapping[str, System], config: RewritingStageConfig
) -> System:
    if name not in models:
        return others.get(name) or resolve_system(name)
    model = models[name]
    decoding: dict[str, Any] = {}
    if name == "warm-up" and config.warmup == "none":
        # The decoding settings that an exported checkpoint stores; the untouched leader has others.
        decoding = {"do_sample": False, "num_beams": 1, "max_new_tokens": config.max_new_tokens}
    return System(name, "model", model.revision, model, config.prompt, decoding)


def load_rewrites(folder: Path) -> list[Rewrites]:
    """Load what the stage left in `folder`, one item per system."""
    frame = pd.read_parquet(folder / "rewrites.parquet")
    systems = json.loads((folder / "systems.json").read_text("utf-8"))
    return [
        Rewrites(**system, outputs=tuple(frame.loc[frame["system"] == system["system"], "output"]))
        for system in systems
    ]


REWRITING = Stage(
    "rewriting",
    _build,
    RewritingStageConfig,
    inputs=("test", "leader", "others", "toxic", "screening", "noise", "paraphrases", "parallel", "screener"),
    follows=("corpora", "screener", "warm-up", "choice"),
)
