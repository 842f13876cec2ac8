"""What is known of systems: from this project's list (`systems.yaml`), from a model's own card, from its submitter."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from leaderboard.row import About
from metrics.errors import InputError
from metrics.files import read_text

SYSTEMS = Path(__file__).parent / "systems.yaml"


@functools.cache
def _list() -> dict[str, Any]:
    return dict(yaml.safe_load(SYSTEMS.read_text("utf-8")))


def known(name: str, test_set: str, card: Mapping[str, Any]) -> About:
    """What the list says of the system called `name`, completed by its model card's facts (`metrics.cards`).

    Whether it was trained on the test set's sentences follows from its training data, where that is listed: a name in
    `trained_on_test` of the list stands for corpora that a test set was drawn from.
    """
    entry = dict(_list()["systems"].get(name, {}))
    facts = {key: value for key, value in {**card, **entry}.items() if value not in (None, "", [])}
    if "contamination" not in facts and facts.get("training_data"):
        drawn_from = _list()["drawn_from"].get(test_set, [])
        if set(drawn_from) & set(facts["training_data"]):
            facts["contamination"] = "contaminated"
    return _about(facts, f"what is known of {name}")


def read_about(path: Path) -> About:
    """A submitter's YAML: the fields of `leaderboard.row.About`. Errors: unknown fields, wrong values."""
    try:
        facts = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())[:200]})") from None
    if not isinstance(facts, dict):
        raise InputError(f"{path}: not a list of fields ({', '.join(About.model_fields)})")
    return _about(facts, str(path))


def _about(facts: Mapping[str, Any], where: str) -> About:
    try:
        return About.model_validate_json(json.dumps(facts, default=str))
    except ValidationError as error:
        first = error.errors()[0]
        fields = ", ".join(About.model_fields)
        raise InputError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']} (fields: {fields})") from None
