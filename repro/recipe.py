"""Recipes: one flat YAML each, whose keys are the fields of `Recipe`."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metrics.errors import InputError

FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run. Lengths are in tokens unless the name says words."""

    name: str
    # Leader: a built-in name, a folder or a Hub id; prompt null means the model's own.
    leader: str
    prompt: str | None
    # What SRO and the warm-up train: "full", "lora", or the number of top layers.
    train: str | int
    lora_rank: int
    max_length: int
    seed: int
    # Training texts: a corpus name, how many of them (0: all), and which lengths.
    toxic_corpus: str
    toxic_limit: int
    toxic_max_words: int
    # Screener: "nb-svm" or the name of a sequence classifier; a verdict passes when P(toxic) <= threshold.
    screener: str
    screener_corpora: list[str]
    screener_threshold: float
    flip_rate: float
    # Warm-up: "denoise" or "none".
    warmup: str
    warmup_steps: int
    warmup_batch_size: int
    warmup_learning_rate: float
    warmup_insertions: int
    warmup_pair_share: float
    warmup_max_words: int
    # SRO. steps 0 means `sro_epochs` passes over the toxic texts.
    sro_steps: int
    sro_epochs: int
    sro_batch_size: int
    sro_accumulation: int
    sro_learning_rate: float
    sro_weight_decay: float
    beta: float
    epsilon: float
    rollouts: int
    sample: bool
    temperature: float
    rollout_max_new_tokens: int
    # The four departures of the released code (all at these values: as published).
    shift_right: bool
    rejected_with_prompt: bool
    rollout_dropout: bool
    # Choice of checkpoint: development J every n steps; training stops when it did not improve `patience` times in a
    # row (0: never), or when the text degenerates.
    development_set: str
    development_limit: int
    evaluate_every: int
    patience: int
    stop_repetition: float
    stop_length_ratio: float
    # Rewriting and scoring.
    test_set: str
    test_limit: int
    max_new_tokens: int
    generation_batch_size: int
    profile: str
    systems: list[str]

    def __post_init__(self) -> None:
        if self.warmup not in ("denoise", "none"):
            raise InputError(f'recipe {self.name}: warmup is "{self.warmup}"; use denoise or none')
        for key in ("flip_rate", "warmup_pair_share", "epsilon", "screener_threshold"):
            if not 0 <= getattr(self, key) <= 1:
                raise InputError(f"recipe {self.name}: {key} is {getattr(self, key)}; it must lie in 0 to 1")
        for key in ("sro_batch_size", "sro_accumulation", "rollouts", "evaluate_every", "generation_batch_size"):
            if getattr(self, key) < 1:
                raise InputError(f"recipe {self.name}: {key} is {getattr(self, key)}; it must be at least 1")
        if self.beta <= 0:
            raise InputError(f"recipe {self.name}: beta is {self.beta}; it must be above 0")
        if self.prompt is not None and self.prompt.count("{text}") != 1:
            raise InputError(f"recipe {self.name}: the prompt must contain {{text}} exactly once")
        for system in self.systems:
            if system not in SYSTEMS:
                raise InputError(f"recipe {self.name}: system {system} is unknown; one of {', '.join(SYSTEMS)}")


SYSTEMS = ("duplicate", "delete", "reference", "warm-up", "sro")


def recipe_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_recipe(name: str, overrides: list[str] | None = None) -> Recipe:
    """The recipe called `name` (or the YAML file at that path), with KEY=VALUE overrides.

    A recipe may say `base: OTHER` and then holds only what differs.
    Errors: unknown names and keys (naming the nearest), values of another type.
    """
    values = _read(name)
    values["name"] = values.get("name") or Path(name).stem
    for override in overrides or []:
        key, separator, text = override.partition("=")
        if not separator:
            raise InputError(f"--set {override}: write key=value")
        values[key] = _parse(text)
    fields = typing.get_type_hints(Recipe)
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 1)
            hint = f"did you mean {near[0]}?" if near else f"keys are {', '.join(fields)}"
            raise InputError(f"recipe {name}: unknown key {key}; {hint}")
    missing = sorted(set(fields) - set(values))
    if missing:
        raise InputError(f"recipe {name}: no value for {', '.join(missing)}")
    return Recipe(**{key: _typed(name, key, value, fields[key]) for key, value in values.items()})


def _read(name: str) -> dict[str, Any]:
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        near = difflib.get_close_matches(name, recipe_names(), 1)
        hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(recipe_names())}, or a .yaml file"
        raise InputError(f"recipe {name}: unknown; {hint}")
    values = _parse(path.read_text("utf-8"), str(path))
    if not isinstance(values, dict):
        raise InputError(f"{path}: not a list of key: value lines")
    base = values.pop("base", None)
    return {**(_read(base) if base else {}), **values}


def _parse(text: str, where: str = "--set") -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{where}: not YAML ({' '.join(str(error).split())})") from None


def _typed(recipe: str, key: str, value: Any, kind: Any) -> Any:
    """`value` as the field's type: numbers as YAML reads them, 1e-4 included, which YAML 1.1 takes for text."""
    kinds = (kind,) if typing.get_origin(kind) is list else typing.get_args(kind) or (kind,)
    for candidate in kinds:
        if candidate is float and not isinstance(value, bool):
            try:
                return float(value)
            except (TypeError, ValueError):
                continue
        if typing.get_origin(candidate) is list:
            if isinstance(value, list) and all(isinstance(item, str) for item in value):
                return value
            continue
        if type(value) is candidate:
            return value
    names = " or ".join(getattr(k, "__name__", str(k)) for k in kinds)
    raise InputError(f"recipe {recipe}: {key} is {value!r}; it must be of type {names}")


_GROUPS = {
    "leader": ("leader", "prompt", "train", "lora_rank", "max_length", "seed"),
    "generation": ("max_new_tokens", "generation_batch_size", "systems", "test_set", "test_limit"),
    "name": ("name",),
}


def field_group(key: str) -> str:
    """Which stages read a field: leader (both trainings), screener, warmup, generation, name, or sro for all others."""
    for group, keys in _GROUPS.items():
        if key in keys:
            return group
    prefix = key.partition("_")[0]
    return prefix if prefix in ("screener", "warmup") else "sro"


def to_dict(recipe: Recipe) -> dict[str, Any]:
    return dataclasses.asdict(recipe)
