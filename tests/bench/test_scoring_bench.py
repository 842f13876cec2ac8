"""The scoring bench runs, and what it compares gives the same scores; how fast is for a quiet machine to say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_both_ways_of_scoring_agree(data_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "bench/scoring.py", "--limit", "70", "--data-dir", str(data_dir)],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("70 pairs, ")
    differences = dict(re.findall(r"largest difference in (\w+): (\S+)", done.stdout))
    assert set(differences) == {"sta", "soft_sta", "sim", "fl"}
    assert all(float(value) < 1e-4 for value in differences.values()), differences
    assert re.search(r"ratio: \d+\.\d\d", done.stdout) and "SmolLM2" in done.stdout and "peak memory" in done.stdout
