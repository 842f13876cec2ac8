"""Profiles: one YAML file in this folder per metric protocol. docs/footguns.md says where the protocols differ."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from metrics.data.text import DETOKENISERS
from metrics.scorers import COMPARISONS, PAIR_SCORERS, PROMPTED, SCORERS
from metrics.util.characters import require_visible
from metrics.util.config import Config, OneOf, read_yaml, validate
from metrics.util.errors import InputError, suggest

_FOLDER = Path(__file__).parent


def _check_signature_text(value: str) -> str:
    if not value.strip() or "|" in value or value.splitlines() != [value]:
        raise ValueError("it becomes part of the signature, so it must be one line of text without |")
    return require_visible(value)


_Text = Annotated[str, AfterValidator(_check_signature_text)]
# A whole number stays one: the signature writes 1 and 1.0 differently.
_Number = int | float


class Profile(Config):
    """What STA, SIM, FL and J mean in one protocol."""

    name: _Text
    version: int
    source: str = Field(description="The publication or program that the protocol comes from.")
    languages: list[str] = Field(
        ["en"], description="Languages that its models serve, by ISO 639 (hin: Hinglish); any: those of a judge."
    )
    sta_scorer: Annotated[str, OneOf(SCORERS["sta"])]
    sta_model: _Text = Field(description="A built-in name, a Hub id or a folder.")
    sta_revision: _Text | None = Field(description="A commit of the Hub; null for models that are pinned otherwise.")
    sta_label: int = Field(ge=0, description="Index of the neutral class.")
    sta_rule: Literal["argmax", "logit", "probability", "soft", "relative"] = Field(
        description="""From the classifier's logits to STA; p is P(neutral).
        argmax: 1 if the neutral class has the largest logit. logit: 1 if the toxic class's logit <= sta_threshold.
        probability: 1 if p >= sta_threshold. soft: p.
        relative: max((p_out + [p_in <= p_out]) / 2, [p_ref <= p_out]) (TextDetox CLEF 2025)."""
    )
    sta_threshold: _Number | None
    sta_prompt: str | None = Field(
        default=None, description="The question of a judge, with {output} and {source}; yes is the good answer."
    )
    sim_scorer: Annotated[str, OneOf(SCORERS["sim"])]
    sim_model: _Text
    sim_revision: _Text | None
    sim_anchor: Literal["source", "references", "both"] = Field(
        description="""What the output is compared with: the source, the most similar reference, or
        sim_source_weight * source + (1 - sim_source_weight) * first reference."""
    )
    sim_source_weight: _Number = Field(ge=0, le=1)
    sim_prompt: str | None = Field(
        default=None, description="The question of a judge, with {output} and {source}; yes is the good answer."
    )
    fl_scorer: Annotated[str, OneOf(SCORERS["fl"])]
    fl_model: _Text
    fl_revision: _Text | None
    fl_label: int = Field(ge=0, description="Index of the acceptable class.")
    fl_rule: Literal["argmax", "probability", "soft"] = Field(
        description="""From the classifier's logits to FL: 1 if the acceptable class has the largest logit, 1 if
        P(acceptable) > fl_threshold, or P(acceptable). Scorers without classes give their score as it is."""
    )
    fl_threshold: _Number | None
    fl_detokenise: Annotated[str, OneOf(DETOKENISERS)]
    fl_prompt: str | None = Field(
        default=None, description="The question of a judge, with {output} and {source}; yes is the good answer."
    )
    pair_prompt: str | None = Field(
        default=None,
        description="The question of a pairwise judge, with {source}, {first} and {second}; the answer is A or B.",
    )
    joint: Literal["product"] = Field(description="J: the mean over sentences of STA * SIM * FL.")
    max_tokens: int = Field(ge=8, description="Longer texts are truncated; the published scripts crash on them.")

    @model_validator(mode="after")
    def _check_thresholds(self) -> Self:
        for metric, rules in (("sta", ("logit", "probability")), ("fl", ("probability",))):
            rule, threshold = getattr(self, f"{metric}_rule"), getattr(self, f"{metric}_threshold")
            # A threshold without effect would still make signatures differ.
            if (threshold is not None) != (rule in rules):
                needed = ("null", "a number") if rule in rules else (threshold, "null")
                raise ValueError(f"{metric}_threshold is {needed[0]}; {metric}_rule {rule} needs {needed[1]} there")
            if rule == "probability" and not 0 <= threshold <= 1:
                raise ValueError(f"{metric}_threshold is {threshold}; a probability is a number from 0 to 1")
        return self

    @model_validator(mode="after")
    def _check_pair_scorers(self) -> Self:
        # A pair scorer gives the probability of the class 0 of two, and compares with the source.
        for metric, rules in (("sta", ("probability", "soft")), ("fl", ("probability", "soft"))):
            scorer, rule = getattr(self, f"{metric}_scorer"), getattr(self, f"{metric}_rule")
            if scorer in PAIR_SCORERS and (rule not in rules or getattr(self, f"{metric}_label")):
                needed = f"{metric}_label 0 and {metric}_rule {' or '.join(rules)}"
                raise ValueError(f"{metric}_scorer {scorer} needs {needed}")
        if self.sim_scorer in PAIR_SCORERS and self.sim_anchor != "source":
            raise ValueError(f"sim_scorer {self.sim_scorer} needs sim_anchor source")
        return self

    @model_validator(mode="after")
    def _check_prompts(self) -> Self:
        for metric in ("sta", "sim", "fl"):
            scorer, prompt = getattr(self, f"{metric}_scorer"), getattr(self, f"{metric}_prompt")
            if (scorer in PROMPTED) != (prompt is not None):
                needed = "needs one" if prompt is None else "has none"
                raise ValueError(f"{metric}_prompt: {metric}_scorer {scorer} {needed}")
            required = {"output", "source"} if metric == "sim" else {"output"}
            _check_places(f"{metric}_prompt", prompt, required, {"output", "source"})
        pair = {"source", "first", "second"}
        _check_places("pair_prompt", self.pair_prompt, pair, pair)
        return self

    def serves(self, lang: str) -> bool:
        """Whether its models serve a language; which ones a judge reads, only its user knows."""
        return lang in self.languages or self.languages == ["any"]

    @property
    def judged_metrics(self) -> list[str]:
        """The metrics ("sta", "sim", "fl") that a judge answers for."""
        return [metric for metric in ("sta", "sim", "fl") if getattr(self, f"{metric}_scorer") in PROMPTED]

    def with_judge(self, judge: str | None) -> Self:
        """Return this profile with `judge`, MODEL or MODEL@URL, as the model of its judged metrics; None: as it is."""
        if judge is None:
            return self
        fields = {f"{metric}_model": judge for metric in self.judged_metrics}
        revisions: dict[str, str | None] = {f"{metric}_revision": None for metric in self.judged_metrics}
        return self.model_copy(update={**fields, **revisions})

    @property
    def metrics_with_references(self) -> frozenset[str]:
        """The metrics ("sta", "sim", "fl") that compare outputs with human rewrites."""
        sta, sim, fl = self.sta_rule == "relative", self.sim_anchor != "source", self.fl_scorer in COMPARISONS
        return frozenset(name for name, compares in (("sta", sta), ("sim", sim), ("fl", fl)) if compares)

    @property
    def needs_references(self) -> bool:
        """Whether any metric compares outputs with human rewrites."""
        return bool(self.metrics_with_references)

    def choices(self, metric: str) -> dict[str, Any]:
        """Return the fields of one metric ("sta", "sim" or "fl") that are not null, without their prefix."""
        values = self.model_dump(exclude_none=True)
        return {name[len(metric) + 1 :]: value for name, value in values.items() if name.startswith(f"{metric}_")}


def _check_places(field: str, prompt: str | None, required: set[str], known: set[str]) -> None:
    places = set(re.findall(r"\{(\w+)\}", prompt or ""))
    if prompt is not None and not required <= places <= known:
        must, may = (", ".join(f"{{{place}}}" for place in sorted(names)) for names in (required, known))
        raise ValueError(f"{field} must contain {must}, and no place in braces but {may}")


def profile_names() -> list[str]:
    """Return the names of the profiles that this package contains."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load_profile(name: str | os.PathLike[str]) -> Profile:
    """Load a profile by its name, one of `profile_names()`, or from a YAML file.

    Raises:
        InputError: No such profile, or a field that is unknown, missing or has a wrong value.
    """
    name, known = str(name), profile_names()
    if name in known:
        path = _FOLDER / f"{name}.yaml"
    elif name.endswith(".yaml") and len(name) < 4096 and Path(name).is_file():
        path = Path(name)
    else:
        raise InputError(f"profile {name[:80]}: unknown{suggest(name, known)} (profiles: {', '.join(known)})")
    return validate(Profile, read_yaml(path), f"profile {name}")


def load_profiles(names: Sequence[str] | None, judge: str | None = None) -> list[Profile]:
    """Load the profiles of a command's options --profile and --judge.

    Args:
        names: Names or files; None for `offline`, or `judge` if there is a judge.
        judge: MODEL or MODEL@URL, the model of every judged metric.

    Raises:
        InputError: As `load_profile`; or a judge without a profile that asks one.
    """
    profiles = [load_profile(name) for name in dict.fromkeys(names or ["judge" if judge else "offline"])]
    if judge and not any(profile.judged_metrics for profile in profiles):
        raise InputError("--judge: none of the profiles asks a judge; add --profile judge")
    return [profile.with_judge(judge) for profile in profiles]
