"""Profiles: one YAML per metric protocol. A new protocol is a new file here."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from metrics.errors import InputError


@dataclass(frozen=True)
class Profile:
    """What STA, SIM and FL mean in one protocol. The *_scorer fields name classes of `metrics.scorers`."""

    name: str
    version: int
    sta_scorer: str
    sta_model: str
    sta_threshold: float
    sim_scorer: str
    sim_model: str
    sim_anchor: str
    fl_scorer: str
    fl_model: str
    fl_detokenise: str


def profile_names() -> list[str]:
    return sorted(path.stem for path in Path(__file__).parent.glob("*.yaml"))


def load_profile(name: str) -> Profile:
    """The profile called `name`. Errors: unknown names, unknown or missing fields."""
    import yaml

    path = Path(__file__).parent / f"{name}.yaml"
    if name not in profile_names():
        raise InputError(f"profile {name}: unknown; one of {', '.join(profile_names())}")
    values = yaml.safe_load(path.read_text("utf-8"))
    expected = {f.name for f in fields(Profile)}
    if set(values) != expected:
        raise InputError(f"{path}: fields {', '.join(sorted(set(values) ^ expected))} are missing or unknown")
    return Profile(**values)
