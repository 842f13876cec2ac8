"""The soak kills a run and compares its end, on a tiny leader; 200 kills are for an idle machine."""

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
def test_kills_are_counted_and_another_end_is_told(tiny_llama: Path, tmp_path: Path) -> None:
    recipe, out = tmp_path / "tiny.yaml", tmp_path / "soak"
    values = {key: yaml.safe_load(value) for key, value in (setting.split("=") for setting in SMALL)}
    recipe.write_text(yaml.safe_dump({"base": "smoke", "leader": str(tiny_llama), **values}))
    soak = ["--recipe", str(recipe), "--out", str(out)]
    printed = run_bench("soak", *soak, "--kills", "1")
    kills = re.search(r"(\d+) kills in (\d+) rounds: every run ended with the result of the one left alone", printed)
    assert kills and kills[1] == "1"
    # Had the run left alone made other weights, the next round would be told apart from it, and its folder kept.
    told = json.loads((out / "alone.json").read_text())
    told["result"]["weights"] = "0" * 64
    (out / "alone.json").write_text(json.dumps(told))
    done = subprocess.run(
        [sys.executable, "bench/soak.py", *soak, "--kills", "2"], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    number = int(kills[2])
    assert done.returncode == 2 and f"round-{number}: ended otherwise in weights" in done.stderr, done.stderr
    assert (out / f"round-{number}" / "run" / "checkpoint").is_dir()
