"""Programs that write in place of transformers, by the names that --engine takes.

A new one: a module with a class like `metrics.generation.engines.ctranslate2.CTranslate2` and the names it goes by, and
a line here.
"""

from __future__ import annotations

from typing import Any

from metrics.generation.engines import ctranslate2 as ctranslate
from metrics.generation.engines import vllm as vllm_engine
from metrics.models.loading import Engine, LoadedModel
from metrics.util.errors import InputError

# By name: the class, and how weights are kept.
ENGINES: dict[str, tuple[Any, str]] = {
    **{name: (ctranslate.CTranslate2, weights) for name, weights in ctranslate.ENGINES.items()},
    **{name: (vllm_engine.VLLM, weights) for name, weights in vllm_engine.ENGINES.items()},
}


def make_engine(loaded: LoadedModel, name: str) -> Engine:
    """Errors: an unknown engine, one that is not installed, models that it does not serve."""
    if name not in ENGINES:
        raise InputError(f"--engine {name}: unknown; one of {', '.join(ENGINES)}")
    make, weights = ENGINES[name]
    engine: Engine = make(loaded, f"--engine {name}", weights)
    return engine


def engine_asked(name: str) -> str:
    """What --engine was given for the engine that a decoding names, PROGRAM-VERSION-WEIGHTS; that itself if unknown."""
    program, weights = name.partition("-")[0], name.rpartition("-")[2]
    asked = (engine for engine, (_, kept) in ENGINES.items() if kept == weights and engine.startswith(program))
    return next(asked, name)
