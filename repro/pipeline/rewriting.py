"""Stage "rewriting": lets every system of the recipe rewrite the test sentences.

Rewrites of models that this run used or trained carry facts for their rows: licence, training data, contamination.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from leaderboard.rows.systems import system_facts
from metrics.data.near_duplicates import NearDuplicates
from metrics.models.cards import card_facts
from metrics.models.resolve import ModelRef, resolve_model
from metrics.systems.resolve import Rewrites, System, resolve_system
from metrics.systems.rewriting import rewrite
from metrics.util.files import atomic_file, write_json
from metrics.util.progress import progress
from repro.baselines import UNTOUCHED, UNTRAINED, BaselineConfig, RewriterContext, untrained
from repro.config.inputs import Inputs
from repro.config.section import NameConfig, ScoringConfig
from repro.followers.follower import ScreenerFollower
from repro.methods import METHODS, PARALLEL
from repro.methods.config import MethodConfig
from repro.pipeline.engine import Stage, StageRun
from repro.pipeline.leader import paraphraser
from repro.pipeline.screener import JudgingConfig, load_screener
from repro.training.config import WarmupConfig


class _Config(BaselineConfig, JudgingConfig, ScoringConfig, MethodConfig, WarmupConfig, NameConfig):
    """All fields that the rewriting reads."""


def _build(run: StageRun[_Config]) -> None:
    config, inputs = run.config, run.inputs
    models = {"warm-up": paraphraser(inputs.leader, run.folders["warm-up"])}
    if config.method != "none":
        models[config.method] = resolve_model(str(run.folders["choice"] / "model"))
    rewriter, screener = models.get(config.method, models["warm-up"]), run.folders["screener"]
    setting = RewriterContext(
        config, inputs.leader, rewriter, inputs.test,
        # Without the guards: they reject half of a model's likeliest rewrites, and nearly all samples.
        lambda: ScreenerFollower(load_screener(screener, config)),
    )  # fmt: skip
    frames, systems = [], []
    for name in progress(config.systems, "rewriting", unit="systems"):
        if name in UNTRAINED:
            rewrites = untrained(name)(setting)
        else:
            system = _find_system(name, models, inputs.others, config)
            rewrites = rewrite(system, inputs.test, batch_size=config.generation_batch_size, seed=config.seed)
        if rewrites.kind == "model" and name not in inputs.others:
            rewrites = dataclasses.replace(rewrites, card={**rewrites.card, **_model_facts(name, config, inputs)})
        description = {field.name: getattr(rewrites, field.name) for field in dataclasses.fields(rewrites)}
        outputs = description.pop("outputs")
        systems.append(description)
        frames.append(pd.DataFrame({"system": name, "source": inputs.test.sources, "output": outputs}))
    with atomic_file(run.work / "rewrites.parquet") as temporary:
        pd.concat(frames).to_parquet(temporary, index=False)
    write_json(run.work / "systems.json", systems)


def _find_system(name: str, models: Mapping[str, ModelRef], others: Mapping[str, System], config: _Config) -> System:
    if name not in models:
        return others.get(name) or resolve_system(name)
    # The decoding settings that an exported checkpoint stores; the untouched leader has others.
    greedy = {"do_sample": False, "num_beams": 1, "max_new_tokens": config.max_new_tokens}
    untouched = name == "warm-up" and config.warmup == "none"
    model = models[name]
    return System(name, "model", model.revision, model, config.prompt, greedy if untouched else {})


def _model_facts(name: str, config: _Config, inputs: Inputs) -> dict[str, Any]:
    """Fields of `leaderboard.rows.row.About` of the warm-up, an untrained rewriter or the method's model."""
    warms_up = config.warmup != "none"
    warmed = "warmed up as a paraphraser" if warms_up else "as it is, without a warm-up"
    training = {"warm-up": warmed, **UNTRAINED, **METHODS}[name]
    # Best-of-k draws from the model that the recipe's method trained.
    method = config.method if name == "best-of-k" else name
    training += f" (a model trained by {method})" if method in METHODS and method != name else ""
    corpora = []
    if name not in UNTOUCHED and (warms_up or method in METHODS):
        corpora += [*inputs.screening, *inputs.warming, *([inputs.paraphrases] if inputs.paraphrases else [])]
    if method in METHODS and method not in PARALLEL:
        corpora.append(inputs.toxic)
    if method in PARALLEL and inputs.parallel:
        corpora.append(inputs.parallel)
    texts = (text for c in corpora for text in (*c.toxic, *c.neutral, *(side for pair in c.pairs for side in pair)))
    count = sum(map(NearDuplicates(texts).contains, inputs.test.sources))
    return {
        "licence": system_facts(inputs.leader.name, inputs.test.name, card_facts(inputs.leader)).licence,
        "base": inputs.leader.name,
        "training_data": list(dict.fromkeys("sample" if c.origin == "sample" else c.name for c in corpora)),
        # The warm-up's pairs are paraphrases: none of them is a toxic sentence with a neutral one.
        "parallel_data": method in PARALLEL or name == "few-shot",
        "contamination": "contaminated" if count else "clean",
        "note": f"{training}, recipe {config.name}; {count} of {len(inputs.test.sources)} test sentences stand nearly "
        "word for word in its training texts",
    }


def load_rewrites(folder: Path) -> list[Rewrites]:
    """Load what the stage left in `folder`, one item per system."""
    frame = pd.read_parquet(folder / "rewrites.parquet")
    systems = json.loads((folder / "systems.json").read_text("utf-8"))
    outputs = frame.groupby("system")["output"].agg(tuple)
    return [Rewrites(**system, outputs=outputs[system["system"]]) for system in systems]


_INPUTS = ("test", "leader", "others", "toxic", "screening", "warming", "paraphrases", "parallel", "screener")
REWRITING = Stage("rewriting", _build, _Config, _INPUTS, follows=("corpora", "screener", "warm-up", "choice"))
