"""`bench/rewriting.py` runs, and all variants give the same outputs; its times need a quiet machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benches import run_bench


@pytest.mark.full
def test_all_variants_give_the_same_outputs(tiny_llama: Path) -> None:
    size = ["--test-set", "sample", "--limit", "12", "--max-new-tokens", "6", "--repeats", "1"]
    ways = ["ours", "ours:--batch-size,4", "plain"]
    printed = run_bench("rewriting", str(tiny_llama), *size, "--ways", *ways)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if line[:2] == "| "]
    assert [row[0] for row in rows[1:]] == ways
    assert all(float(row[1]) > 0 and float(row[3]) > 0 and row[4] == "12 of 12" for row in rows[1:])
