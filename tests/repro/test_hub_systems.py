"""Models from the Hub as systems of a recipe, through the real client and a local Hub; and what happens without one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from repro.studies.methods import hub_systems
from tests.hub.server import HubServer
from tests.repro.test_pipeline import bad, run

SETTINGS = ["--set", "method=none", "--set", "warmup=none"]


def test_a_hub_model_can_be_a_system_of_a_recipe(hub: HubServer, tiny_t5: Path, tmp_path: Path) -> None:
    api = hub.api("hf_alice")
    api.create_repo("lab/tiny-t5")
    api.upload_folder(repo_id="lab/tiny-t5", folder_path=tiny_t5)
    out = tmp_path / "out"
    own = {**hub.environment(None, tmp_path / "home"), "HF_HUB_OFFLINE": "0", "OMP_NUM_THREADS": "1"}
    settings = [*SETTINGS, "--set", "systems=[lab/tiny-t5, reference]", "--set", f"leader={tiny_t5}"]
    done = run("repro.run", "smoke", *settings, "--out", str(out), **own)
    assert done.returncode == 0, done.stderr[-3000:]
    assert set(pd.read_parquet(out / "scores.parquet")["system"]) == {"lab/tiny-t5", "reference"}
    latest = pd.read_parquet(out / "leaderboard" / "data" / "latest-00000-of-00001.parquet").set_index("system")
    assert len(latest.loc["lab/tiny-t5", "revision"]) == 40


def test_a_missing_hub_model_stops_a_run_before_its_first_stage(hub: HubServer, tmp_path: Path) -> None:
    own = {**hub.environment(None, tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    assert "lab/nothing" in bad(tmp_path, "smoke", *SETTINGS, "--set", "systems=[lab/nothing]", **own)


def test_without_the_hub_the_methods_study_lists_the_systems_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert hub_systems() == []
    assert capsys.readouterr().err.count("left out: ") == 4
