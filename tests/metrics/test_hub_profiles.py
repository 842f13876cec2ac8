"""The profiles whose models are on the Hub, on 20 sentences, against stored values: for a machine that reaches the Hub.

    SRO_HUB_VALUES=FILE pytest tests/metrics/test_hub_profiles.py

writes what it measured to FILE. Copied to golden/hub_profiles.json, the values are what later runs are compared with.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from metrics.data.test_sets import load_test_set
from metrics.models.hub_ids import hub_ids
from metrics.profiles import load_profile, profile_names
from metrics.scoring.evaluator import Evaluator
from metrics.systems.resolve import resolve_system
from metrics.systems.rewriting import rewrite
from metrics.util.errors import InputError

GOLDEN = Path(__file__).parent / "golden" / "hub_profiles.json"
WORKFLOW = Path(__file__).resolve().parents[2] / ".github" / "workflows" / "hub.yml"
VALUES = os.environ.get("SRO_HUB_VALUES")
# Other processors and thread counts differ in the last digits.
TOLERANCE = 1e-4


def hub_profiles() -> list[str]:
    """The profiles that name a Hub id."""
    profiles = map(load_profile, profile_names())
    return [p.name for p in profiles if {p.sta_model, p.sim_model, p.fl_model} & hub_ids().keys()]


def measure(profile: str) -> dict[str, Any]:
    """The values of `delete` on the first 20 sentences of the built-in sample, and what pins them."""
    test_set = load_test_set("sample").limit(20)
    result = Evaluator(load_profile(profile)).evaluate(rewrite(resolve_system("delete"), test_set), test_set)
    scores = {name: [round(float(value), 6) for value in result.scores.metric(name)] for name in ("sta", "sim", "fl")}
    return {"signature": result.signature.long, **scores}


def differences(stored: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What differs between stored and measured values, in words; a moved model is named by its signature."""
    problems = []
    if stored["signature"] != found["signature"]:
        problems.append(f"signature {stored['signature']} is now {found['signature']}")
    for name in ("sta", "sim", "fl"):
        if len(stored[name]) != len(found[name]):
            problems.append(f"{name}: {len(stored[name])} values, now {len(found[name])}")
            continue
        far = [i for i, (a, b) in enumerate(zip(stored[name], found[name], strict=True)) if abs(a - b) > TOLERANCE]
        if far:
            i = far[0]
            problems.append(f"{name}: {len(far)} differ, sentence {i}: {stored[name][i]} is now {found[name][i]}")
    return problems


@pytest.mark.skipif(not VALUES, reason="needs the Hub; set SRO_HUB_VALUES to the file for the values")
@pytest.mark.parametrize("profile", hub_profiles())
def test_the_values_are_those_stored(profile: str) -> None:
    try:
        found = measure(profile)
    except InputError as error:
        if "Wieting" in str(error):
            pytest.skip(str(error))
        raise
    path = Path(str(VALUES))
    before = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**before, profile: found}, indent=1))
    stored = json.loads(GOLDEN.read_text()) if GOLDEN.is_file() else {}
    if profile not in stored:
        pytest.skip(f"no stored values of {profile}; commit {path} as {GOLDEN.name}")
    assert differences(stored[profile], found) == []


def test_differences_by_hand() -> None:
    stored = {"signature": "a", "sta": [0.5, 1.0], "sim": [0.1, 0.2], "fl": [1.0, 1.0]}
    assert differences(stored, {**stored, "sim": [0.1, 0.20005]}) == []
    assert differences(stored, {**stored, "signature": "b", "sim": [0.1, 0.3]}) == [
        "signature a is now b", "sim: 1 differ, sentence 1: 0.2 is now 0.3",
    ]  # fmt: skip
    assert differences(stored, {**stored, "fl": [1.0]}) == ["fl: 2 values, now 1"]


def test_the_measurement_runs_here_with_a_profile_that_needs_no_hub() -> None:
    found = measure("offline-v2")
    assert found["signature"].startswith("profile:offline") and len(found["sta"]) == 20
    assert differences(found, measure("offline-v2")) == []
    assert {"clef2024", "clef2025", "paradetox"} <= set(hub_profiles())


def test_the_workflow_runs_what_is_there() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text("utf-8"))
    commands = [step["run"] for step in workflow["jobs"]["hub"]["steps"] if "run" in step]
    assert commands[1:] == ["python -m metrics.models --check", f"python -m pytest tests/metrics/{Path(__file__).name}"]
    assert workflow["jobs"]["hub"]["env"]["SRO_HUB_VALUES"] == "hub-values.json"
