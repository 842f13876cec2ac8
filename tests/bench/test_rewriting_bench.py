"""The rewriting bench runs, and both ways write the same; how fast is for a quiet machine to say."""

from __future__ import annotations

import re
from pathlib import Path

from tests.benches import run_bench


def test_both_ways_write_the_same(tiny_llama: Path) -> None:
    size = ["--test-set", "sample", "--limit", "12", "--max-new-tokens", "6", "--repeats", "1"]
    printed = run_bench("rewriting", str(tiny_llama), *size)
    assert "written alike: 12 of 12" in printed and re.search(r"ratio: \d+\.\d\d", printed)
