"""What is known of systems: from this project's list (`systems.yaml`), from a model's own card, from its submitter."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from leaderboard.rows.row import About, first_problem
from metrics.util.errors import InputError
from metrics.util.files import read_text

SYSTEMS = Path(__file__).parent / "systems.yaml"


@functools.cache
def _list() -> dict[str, Any]:
    return dict(yaml.safe_load(SYSTEMS.read_text("utf-8")))


def known(name: str, test_set: str, card: Mapping[str, Any], about: About | None = None) -> About:
    """What is known of the system called `name`: by its submitter, else by the list, else by its card's facts.

    Whether it was trained on the test set's sentences follows from its training data, where that is listed: a name in
    `trained_on_test` of the list stands for corpora that a test set was drawn from.
    """
    told = about.model_dump(mode="json", exclude_defaults=True) if about else {}
    entry = dict(_list()["systems"].get(name, {}))
    facts = {key: value for key, value in {**card, **entry, **told}.items() if value not in (None, "", [])}
    found = _about(facts, f"what is known of {name[:80]}")
    drawn_from = _list()["drawn_from"].get(test_set, [])
    if "contamination" not in facts and set(drawn_from) & set(found.training_data):
        return found.model_copy(update={"contamination": "contaminated"})
    return found


def read_about(path: Path) -> About:
    """A submitter's YAML: the fields of `leaderboard.rows.row.About`. Errors: unknown fields, wrong values."""
    try:
        facts = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())[:200]})") from None
    if not isinstance(facts, dict):
        raise InputError(f"{path}: not a list of fields ({', '.join(About.model_fields)})")
    return _about(facts, str(path))


def _about(facts: Mapping[str, Any], where: str) -> About:
    try:
        return About.model_validate_json(json.dumps(facts, default=str))
    except (ValidationError, RecursionError) as error:
        what = first_problem(error) if isinstance(error, ValidationError) else "nested too deeply"
        raise InputError(f"{where}: {what} (fields: {', '.join(About.model_fields)})") from None
