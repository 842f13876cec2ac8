"""Inference programs that generate in place of transformers, by the names that `--engine` takes.

To add one, write a module with a class like `CTranslate2` (the protocol is `metrics.models.loading.Engine`) and add the
class to the tuple in `_ENGINES`; its `WEIGHTS` maps the values of `--engine` to how it keeps weights.
"""

from typing import Any

from metrics.generation.engines.ctranslate2 import CTranslate2
from metrics.generation.engines.vllm import VLLM
from metrics.models.loading import Engine, LoadedModel
from metrics.util.errors import InputError, name_option

# The class and how it keeps weights, by the value of --engine.
_ENGINES: dict[str, tuple[Any, str]] = {
    name: (engine, weights) for engine in (CTranslate2, VLLM) for name, weights in engine.WEIGHTS.items()
}


def make_engine(loaded: LoadedModel, name: str) -> Engine:
    """Build the engine that `--engine` names, for a model that was loaded without weights.

    Raises:
        InputError: The engine is unknown or not installed, or does not support the model.
    """
    with name_option(f"--engine {name}"):
        if name not in _ENGINES:
            raise InputError(f"unknown; one of {', '.join(_ENGINES)}")
        engine_class, weights = _ENGINES[name]
        return engine_class(loaded, weights)


def engine_option(recorded: str) -> str:
    """Return the value of `--engine` for a recorded name, PROGRAM-VERSION-WEIGHTS; that name if no engine has it."""
    program, weights = recorded.partition("-")[0], recorded.rpartition("-")[2]
    options = (name for name, (_, kind) in _ENGINES.items() if kind == weights and name.startswith(program))
    return next(options, recorded)
