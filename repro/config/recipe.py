"""Recipes: one flat YAML each, whose keys are the fields of `Recipe`."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metrics.models.resolve import DTYPES
from metrics.util.errors import InputError, suggest
from repro.baselines import UNTRAINED
from repro.methods import METHODS
from repro.training.distributed import processes

FOLDER = Path(__file__).resolve().parent.parent / "recipes"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run. Lengths are in tokens unless the name says words."""

    name: str
    # Leader: a built-in name, a folder or a Hub id; prompt null means the model's own.
    leader: str
    prompt: str | None
    # What the warm-up and the method train: "full", "lora", or the number of top layers.
    train: str | int
    lora_rank: int
    max_length: int
    seed: int
    # Training texts: a corpus name, how many of them (0: all), which lengths, and the least cosine that what is left
    # without the lexicon's words must have with the text (0: any). parallel_corpus is read by methods that learn from
    # pairs, which SRO does without.
    toxic_corpus: str
    toxic_limit: int
    toxic_max_words: int
    toxic_min_content: float
    parallel_corpus: str
    # Screener: "nb-svm" or the name of a sequence classifier; a verdict passes when P(toxic) <= threshold.
    screener: str
    screener_corpora: list[str]
    screener_threshold: float
    flip_rate: float
    # Follower: "screener" (the paper's) or "guarded" (also asks for content and fluency, see repro.followers.follower).
    follower: str
    guard_content: float
    guard_words_kept: float
    guard_length_ratio: float
    guard_naturalness: float
    # Warm-up: "denoise" or "none"; a share of its rows may be paraphrase pairs.
    # warmup_corpora: whose toxic sentences lend the rudeness that the leader learns to take out; the neutral sentences
    # are those of screener_corpora.
    warmup: str
    warmup_corpora: list[str]
    warmup_steps: int
    warmup_batch_size: int
    warmup_learning_rate: float
    warmup_changes: int
    warmup_substitutions: float
    warmup_pair_share: float
    warmup_max_words: int
    # Training: a name from repro.methods, or "none". schedule: what the learning rate does after its first few steps,
    # "constant" or "linear" (down to 0 at the end). The budget is the same for every method: steps (0 means `epochs`
    # passes over the texts) of batch_size x accumulation texts, each rolled out `rollouts` times.
    method: str
    steps: int
    epochs: int
    batch_size: int
    accumulation: int
    learning_rate: float
    schedule: str
    weight_decay: float
    rollouts: int
    sample: bool
    temperature: float
    rollout_max_new_tokens: int
    # By torch's names: what the weights have that roll out, and what products are made in that score and train (the
    # trained weights themselves have float32).
    rollout_dtype: str
    train_dtype: str
    # Who rolls out: "vllm" (extra "vllm"; causal leaders, one process), or "none" but the suite itself.
    rollout_engine: str
    # The objective. siblings: a fail is compared with the best of the same text's rollouts that passed, if one did;
    # lone_fail_weight: what the other fails count; imitation: how much likelihood of the passes counts beside the
    # objective. As published: false, 1, 0.
    beta: float
    epsilon: float
    siblings: bool
    lone_fail_weight: float
    imitation: float
    # The departures of the released code beside flip_rate (as published: true, false, 0).
    shift_right: bool
    rejected_with_prompt: bool
    rollout_dropout: float
    # Choice of checkpoint: development J every n steps; training stops when it did not improve `patience` times in a
    # row (0: never), or when the text degenerates (repetition 1 and length ratio 0: never).
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

    # best-of-k asks for at most this many rewrites of each test sentence.
    candidates: int

    def __post_init__(self) -> None:
        self._one_of("warmup", ("denoise", "none"))
        self._one_of("method", (*METHODS, "none"))
        self._one_of("follower", ("screener", "guarded"))
        self._one_of("schedule", ("constant", "linear"))
        self._one_of("rollout_dtype", DTYPES)
        self._one_of("train_dtype", DTYPES)
        self._one_of("rollout_engine", ("none", "vllm"))
        if self.rollout_engine != "none" and (self.rollout_dropout or processes() > 1):
            raise InputError(
                f"recipe {self.name}: {self.rollout_engine} rolls out in one process and without dropout; set "
                "rollout_engine to none"
            )
        for key in SHARES:
            if not 0 <= getattr(self, key) <= 1:
                raise InputError(f"recipe {self.name}: {key} is {getattr(self, key)}; it must lie in 0 to 1")
        for key in COUNTS:
            if getattr(self, key) < 1:
                raise InputError(f"recipe {self.name}: {key} is {getattr(self, key)}; it must be at least 1")
        for key in ("beta", "temperature"):
            if getattr(self, key) <= 0:
                raise InputError(f"recipe {self.name}: {key} is {getattr(self, key)}; it must be above 0")
        if self.rollouts > 1 and not self.sample:
            raise InputError(
                f"recipe {self.name}: {self.rollouts} greedy rollouts of a text are all alike; sample them"
            )
        if self.method == "grpo" and self.rollouts < 2:
            raise InputError(f"recipe {self.name}: grpo compares rollouts of one text; set rollouts to at least 2")
        if self.prompt is not None and self.prompt.count("{text}") != 1:
            raise InputError(f"recipe {self.name}: the prompt must contain {{text}} exactly once")
        if self.epsilon >= 0.5:
            raise InputError(f"recipe {self.name}: epsilon is {self.epsilon}; it must lie below 0.5")
        if self.warmup != "none" and (self.warmup_steps < 1 or self.warmup_max_words < 4):
            raise InputError(f"recipe {self.name}: a warm-up needs warmup_steps >= 1 and warmup_max_words >= 4")
        if not self.systems or len(set(self.systems)) < len(self.systems):
            raise InputError(f"recipe {self.name}: systems must name at least one, and none twice")
        for system in self.systems:
            if system not in self.known_systems and "/" not in system:
                raise InputError(
                    f"recipe {self.name}: system {system} is unknown; one of {', '.join(self.known_systems)}, or a "
                    "model's Hub id or folder, with a / in it"
                )

    def _one_of(self, key: str, values: tuple[str, ...]) -> None:
        if getattr(self, key) not in values:
            raise InputError(f'recipe {self.name}: {key} is "{getattr(self, key)}"; use {" or ".join(values)}')

    def epoch_updates(self, texts: int) -> int:
        """How many updates a pass over that many texts takes."""
        return -(-texts // (self.batch_size * self.accumulation * processes()))

    @property
    def known_systems(self) -> tuple[str, ...]:
        """What this recipe can score: the baselines, the warm-up, and what its method makes."""
        return (*SYSTEMS, *UNTRAINED, *((self.method,) if self.method != "none" else ()))


COUNTS = (
    "batch_size", "accumulation", "rollouts", "evaluate_every", "generation_batch_size", "candidates", "warmup_changes",
    "warmup_batch_size",
)  # fmt: skip
SHARES = (
    "toxic_min_content", "flip_rate", "warmup_pair_share", "warmup_substitutions", "epsilon",
    "screener_threshold", "guard_words_kept", "guard_naturalness", "lone_fail_weight", "rollout_dropout",
)  # fmt: skip
SYSTEMS = ("duplicate", "delete", "reference", "warm-up")


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
            hint = suggest(key, fields) or f"; keys are {', '.join(fields)}"
            raise InputError(f"recipe {name}: unknown key {key}{hint}")
    missing = sorted(set(fields) - set(values))
    if missing:
        raise InputError(f"recipe {name}: no value for {', '.join(missing)}")
    return Recipe(**{key: _typed(name, key, value, fields[key]) for key, value in values.items()})


def _read(name: str) -> dict[str, Any]:
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        hint = suggest(name, recipe_names()) or f"; one of {', '.join(recipe_names())}, or a .yaml file"
        raise InputError(f"recipe {name}: unknown{hint}")
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
    "leader": ("leader", "prompt", "train", "lora_rank", "max_length", "seed", "train_dtype"),
    "generation": ("max_new_tokens", "generation_batch_size", "systems", "test_set", "test_limit", "candidates"),
    "name": ("name",),
}


def field_group(key: str) -> str:
    """Which stages read a field: leader (both trainings), screener, warmup, generation, name; training for all others.

    The guards are the follower's, which the training asks, and the flips the screener's, which best-of-k asks too.
    """
    for group, keys in _GROUPS.items():
        if key in keys:
            return group
    prefix = key.partition("_")[0]
    return prefix if prefix in ("screener", "warmup") else "training"


def to_dict(recipe: Recipe) -> dict[str, Any]:
    return dataclasses.asdict(recipe)
