"""The scoring bench runs, and what it compares gives the same scores; how fast is for a quiet machine to say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.benches import run_bench


@pytest.mark.full
def test_both_ways_of_scoring_agree(data_dir: Path) -> None:
    printed = run_bench("scoring", "--limit", "70", "--data-dir", str(data_dir))
    assert printed.startswith("70 pairs, ")
    differences = dict(re.findall(r"largest difference in (\w+): (\S+)", printed))
    assert set(differences) == {"sta", "sim", "fl"}
    assert all(float(value) < 1e-3 for value in differences.values()), differences
    assert re.search(r"ratio: \d+\.\d\d", printed) and "SmolLM2" in printed and "peak memory" in printed
