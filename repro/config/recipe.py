"""Recipes: one flat YAML each, whose keys are the fields of all sections."""

from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import model_validator

from metrics.util.config import parse_yaml, read_yaml, validate
from metrics.util.errors import InputError, suggest
from repro.baselines import UNTRAINED, BestOfKConfig, EndpointConfig
from repro.config.section import NameConfig, RewritingConfig, ScoringConfig, Section, SeedConfig
from repro.distributed import num_processes
from repro.followers.config import FollowerConfig, VerdictConfig
from repro.leader.config import LeaderConfig, RolloutConfig
from repro.methods.config import MethodConfig, ObjectiveConfig
from repro.training.config import DevelopmentConfig, TextsConfig, TrackingConfig, TrainingConfig, WarmupConfig

_FOLDER = Path(__file__).resolve().parent.parent / "recipes"
# Systems that every recipe can score.
_SYSTEMS = ("duplicate", "delete", "reference", "warm-up", *UNTRAINED)

S = TypeVar("S", bound=Section)


class Recipe(
    TrackingConfig, EndpointConfig, BestOfKConfig, ScoringConfig, RewritingConfig, DevelopmentConfig, ObjectiveConfig,
    RolloutConfig, TrainingConfig, MethodConfig, WarmupConfig, VerdictConfig, FollowerConfig, TextsConfig, SeedConfig,
    LeaderConfig, NameConfig,
):  # fmt: skip
    """Everything that decides a run. Fields stand in the reverse order of the base classes."""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.rollout_engine != "none" and (self.rollout_dropout or num_processes() > 1):
            raise ValueError(
                f"{self.rollout_engine} rolls out in one process and without dropout; set rollout_engine to none"
            )
        if self.method == "grpo" and self.rollouts < 2:
            raise ValueError("grpo compares rollouts of one text; set rollouts to at least 2")
        if not self.systems or len(set(self.systems)) < len(self.systems):
            raise ValueError("systems must name at least one, and none twice")
        known = _SYSTEMS if self.method == "none" else (*_SYSTEMS, self.method)
        for system in self.systems:
            if system not in known and "/" not in system:
                raise ValueError(
                    f"system {system} is unknown; use one of {', '.join(known)}, or a Hub id or folder with a / in it"
                )
        return self

    def narrow(self, section: type[S]) -> S:
        """Return the fields of `section`, a section or a class that joins several, and no others."""
        return section.model_construct(**{name: getattr(self, name) for name in section.model_fields})


def recipe_names() -> list[str]:
    """Return the names of the recipes in repro/recipes."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load_recipe(name: str, overrides: list[str] | None = None) -> Recipe:
    """Load a recipe. A recipe may say `base: OTHER` and then holds only what differs.

    Args:
        name: A name from repro/recipes, or the path of a YAML file.
        overrides: KEY=VALUE settings, the values in YAML.

    Raises:
        InputError: An unknown recipe or key, a missing key, or a value of another type or outside its range.
    """
    values = _read(name)
    values["name"] = values.get("name") or Path(name).stem
    for override in overrides or []:
        key, separator, text = override.partition("=")
        if not separator:
            raise InputError(f"--set {override}: write key=value")
        values[key] = parse_yaml(text, f"--set {key}")
    return validate(Recipe, values, f"recipe {name}")


def _read(name: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    path = Path(name) if name.endswith((".yaml", ".yml")) else _FOLDER / f"{name}.yaml"
    if not path.is_file():
        hint = suggest(name, recipe_names()) or f"; use one of {', '.join(recipe_names())}, or a .yaml file"
        raise InputError(f"recipe {name}: unknown{hint}")
    values = read_yaml(path)
    base = values.pop("base", None)
    if base is not None and not isinstance(base, str):
        raise InputError(f"recipe {name}: base must be the name of a recipe, or the path of a YAML file")
    if base in (name, *above):
        raise InputError(f"recipe {name}: its base {base} is based on it again; remove one `base`")
    return {**(_read(base, (name, *above)) if base else {}), **values}
