"""Facts about systems: from their submitter, from this project's list (`systems.yaml`), from their model card."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from leaderboard.rows.row import About, first_problem
from metrics.util.config import read_yaml
from metrics.util.errors import InputError

_SYSTEMS = yaml.safe_load((Path(__file__).parent / "systems.yaml").read_text("utf-8"))


def system_facts(name: str, test_set: str, card: Mapping[str, Any], about: About | None = None) -> About:
    """Return the facts about a system: those in `about` override those in the list, which override the card's.

    The system is contaminated if one of its training corpora is in the list's `drawn_from` for the test set. A fact
    that is not valid raises InputError.
    """
    submitted = about.model_dump(mode="json", exclude_defaults=True) if about else {}
    listed = _SYSTEMS["systems"].get(name, {})
    facts = {key: value for key, value in {**card, **listed, **submitted}.items() if value not in (None, "", [])}
    merged = _about(facts, f"facts about {name[:80]}")
    drawn_from = _SYSTEMS["drawn_from"].get(test_set, [])
    if "contamination" not in facts and set(drawn_from) & set(merged.training_data):
        return merged.model_copy(update={"contamination": "contaminated"})
    return merged


def read_about(path: Path) -> About:
    """Return the facts in a submitter's YAML file; other content than fields of `About` raises InputError."""
    return _about(read_yaml(path), str(path))


def _about(facts: Mapping[str, Any], where: str) -> About:
    try:
        # YAML has keys that JSON has not, such as dates.
        return About.model_validate_json(json.dumps({str(name): value for name, value in facts.items()}, default=str))
    except (ValidationError, RecursionError, TypeError) as error:
        raise InputError(f"{where}: {first_problem(error)} (fields: {', '.join(About.model_fields)})") from None
