"""Profiles: one YAML per metric protocol. A new protocol is a new file here.

What the protocols are and where they differ: docs/footguns.md.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from metrics.util.errors import InputError, suggest

STA_RULES = ("argmax", "logit", "probability", "soft", "relative")
SIM_ANCHORS = ("source", "references", "both")
FL_RULES = ("argmax", "probability", "soft")
_KINDS: dict[str, tuple[Any, str]] = {
    "str": (str, "a string"),
    "int": (int, "a whole number"),
    "float": ((int, float), "a number"),
}
_RANGES = {
    "sta_label": (0, math.inf),
    "fl_label": (0, math.inf),
    "sim_source_weight": (0, 1),
    "max_tokens": (8, math.inf),
}


@dataclass(frozen=True)
class Profile:
    """What STA, SIM, FL and J mean in one protocol.

    The *_scorer fields name entries of the tables in `metrics.scorers`; a model is a built-in name, a Hub id or a
    folder, its revision a commit of the Hub (null for what is pinned by itself).

    sta_rule, from the classifier's logits (sta_label is the neutral class):
        argmax        1 when the neutral class has the largest logit
        logit         1 when the toxic class's raw logit is at most sta_threshold
        probability   1 when P(neutral) >= sta_threshold
        soft          P(neutral)
        relative      max((p_out + [p_in <= p_out]) / 2, [p_ref <= p_out]), p = P(neutral) (TextDetox CLEF 2025)
    sim_anchor: cosine of the output with the source, the largest over the references, or
        sim_source_weight · source + (1 − sim_source_weight) · first reference.
    fl_rule, from logits (fl_label is the acceptable class): argmax, probability (> fl_threshold) or soft. Scorers
        without classes give the score itself.
    joint: "product", the mean over sentences of STA · SIM · FL.
    max_tokens: longer texts are cut there (the released scripts crash).
    """

    name: str
    version: int
    source: str
    sta_scorer: str
    sta_model: str
    sta_revision: str | None
    sta_label: int
    sta_rule: str
    sta_threshold: float | None
    sim_scorer: str
    sim_model: str
    sim_revision: str | None
    sim_anchor: str
    sim_source_weight: float
    fl_scorer: str
    fl_model: str
    fl_revision: str | None
    fl_label: int
    fl_rule: str
    fl_threshold: float | None
    fl_detokenise: str
    joint: str
    max_tokens: int

    def __post_init__(self) -> None:
        # Late: the tables of scorers are built on modules that few users of a profile need.
        from metrics.data.text import DETOKENISERS
        from metrics.scorers import CLASSIFIERS, COMPARISONS, SIMILARITIES

        for field in fields(self):
            wrong = _wrong(str(field.type), getattr(self, field.name), free=field.name == "source")
            if wrong:
                raise InputError(f"profile {self.name}: {field.name} {getattr(self, field.name)!r} {wrong}")
        allowed: dict[str, Iterable[str]] = {
            "sta_scorer": CLASSIFIERS,
            "sta_rule": STA_RULES,
            "sim_scorer": SIMILARITIES,
            "sim_anchor": SIM_ANCHORS,
            "fl_scorer": [*CLASSIFIERS, *COMPARISONS],
            "fl_rule": FL_RULES,
            "fl_detokenise": DETOKENISERS,
            "joint": ("product",),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise InputError(
                    f"profile {self.name}: {name} {getattr(self, name)!r} is not one of {', '.join(values)}"
                )
        for name, (least, most) in _RANGES.items():
            if not least <= getattr(self, name) <= most:
                raise InputError(f"profile {self.name}: {name} {getattr(self, name)} is not in [{least}, {most}]")
        for metric, rules in (("sta", ("logit", "probability")), ("fl", ("probability",))):
            rule, threshold = getattr(self, f"{metric}_rule"), getattr(self, f"{metric}_threshold")
            # One that is not used would still make signatures differ.
            if (threshold is not None) != (rule in rules):
                verb = "needs" if rule in rules else "does not use"
                raise InputError(f"profile {self.name}: {metric}_rule {rule} {verb} {metric}_threshold")
            if rule == "probability" and not 0 <= threshold <= 1:
                raise InputError(f"profile {self.name}: {metric}_threshold {threshold} is not in [0, 1]")

    @property
    def needs_references(self) -> bool:
        """Whether a score needs a human rewrite of the sentence."""
        from metrics.scorers import COMPARISONS

        return self.sta_rule == "relative" or self.sim_anchor != "source" or self.fl_scorer in COMPARISONS

    def choices(self, metric: str) -> dict[str, Any]:
        """The fields of one metric ("sta", "sim", "fl") that are set, without their prefix."""
        prefix = f"{metric}_"
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name.startswith(prefix)}
        return {name.removeprefix(prefix): value for name, value in values.items() if value is not None}


def profile_names() -> list[str]:
    return sorted(path.stem for path in Path(__file__).parent.glob("*.yaml"))


def load_profile(name: str | os.PathLike[str]) -> Profile:
    """The profile called `name`, or in the file `name` (…/own.yaml). Errors: unknown names, wrong fields."""
    import yaml

    name = str(name)
    path = Path(name) if name.endswith(".yaml") else Path(__file__).parent / f"{name}.yaml"
    if not (name in profile_names() or (name.endswith(".yaml") and len(name) < 4096 and path.is_file())):
        hint = suggest(name, profile_names())
        raise InputError(f"profile {name[:80]}: unknown{hint} (profiles: {', '.join(profile_names())})")
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: not a profile: no fields")
    expected = {f.name for f in fields(Profile)}
    unknown, missing = sorted(map(str, set(values) - expected)), sorted(expected - set(values))
    if unknown:
        raise InputError(f"{path}: unknown field {', '.join(unknown)}{suggest(unknown[0], expected)}")
    if missing:
        raise InputError(f"{path}: missing field {', '.join(missing)}")
    return Profile(**values)


def _wrong(kind: str, value: Any, free: bool) -> str:
    """What is wrong with a field's value; "" for nothing. kind: the field's annotation. free: any text will do."""
    name, _, null = kind.partition(" | ")
    types, words = _KINDS[name]
    if value is None and null:
        return ""
    # To Python a bool is an int.
    if not isinstance(value, types) or isinstance(value, bool):
        return f"is not {words}{' or null' if null else ''}"
    if isinstance(value, float) and not math.isfinite(value):
        return "is not finite"
    if isinstance(value, str) and not free and (not value.strip() or "|" in value or value.splitlines() != [value]):
        return "cannot stand in a signature: it is empty, or holds | or a line break"
    return ""
