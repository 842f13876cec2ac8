"""The soak on a tiny leader, with one kill; the full soak has 200."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.benches import ROOT, run_bench
from tests.leaders import SMALL


@pytest.mark.full
def test_the_soak_counts_kills_and_reports_a_different_result(tiny_llama: Path, tmp_path: Path) -> None:
    recipe, out = tmp_path / "tiny.yaml", tmp_path / "soak"
    values = {key: yaml.safe_load(value) for key, value in (setting.split("=") for setting in SMALL)}
    recipe.write_text(yaml.safe_dump({"base": "smoke", "leader": str(tiny_llama), **values}))
    soak = ["--recipe", str(recipe), "--out", str(out)]
    printed = run_bench("soak", *soak, "--kills", "1")
    kills = re.search(r"(\d+) kills in (\d+) rounds: every run ended with the result of the uninterrupted one", printed)
    assert kills and kills[1] == "1"
    # With other weights in the reference, the next round must fail and keep its folder.
    reference = json.loads((out / "alone.json").read_text())
    reference["result"]["weights"] = "0" * 64
    (out / "alone.json").write_text(json.dumps(reference))
    done = subprocess.run(
        [sys.executable, "bench/soak.py", *soak, "--kills", "2"], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    number = int(kills[2])
    assert done.returncode == 2 and f"round-{number}: its end differs in weights" in done.stderr, done.stderr
    assert (out / f"round-{number}" / "run" / "checkpoint").is_dir()
