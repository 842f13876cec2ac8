"""Models behind endpoints in a recipe: as a system, and as the model of few-shot and best-of-k."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.judge_server import Reply, completion, judge_server
from tests.repro.test_pipeline import run


@pytest.mark.full
def test_a_recipe_asks_endpoints(tiny_llama: Path, tmp_path: Path) -> None:
    def answer(body: dict[str, Any], number: int) -> Reply:
        """The turns, and the seed if there is one."""
        return completion(f"please {len(body['messages'])} {body.get('seed', '')}", system_fingerprint="fp")

    out = tmp_path / "out"
    with judge_server(answer) as server:
        model = f"openai:m@{server.url}"
        settings = [f"systems=[{model}, few-shot, best-of-k, reference]", f"untrained_model={model}", "candidates=2"]
        settings += ["method=none", "warmup=none", "test_limit=4", f"leader={tiny_llama}", "profile=offline-v2"]
        done = run("repro.run", "smoke", *(part for s in settings for part in ("--set", s)), "--out", str(out))
    assert done.returncode == 0, done.stderr[-3000:]
    outputs = pd.read_parquet(out / "rewrites.parquet").groupby("system")["output"].agg(set)
    assert outputs[model] == {"please 1"} and outputs["few-shot"] == {"please 13"}
    # Greedy, or a sample with the seed after the recipe's, where the screener rejects it.
    assert outputs["best-of-k"] <= {"please 1", "please 1 2"}
    done = run("leaderboard.verify", "--local", str(out / "leaderboard"))
    assert done.returncode == 0 and "4 verified, 0 mismatch, 0 unverifiable" in done.stdout, done.stdout
