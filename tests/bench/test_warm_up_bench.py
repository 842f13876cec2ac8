"""The bench of the warm-up, end to end."""

from __future__ import annotations

import pytest

from tests.benches import run_bench


@pytest.mark.full
def test_both_variants_are_measured() -> None:
    printed = run_bench("warm_up", "--steps", "3")
    rows = {row.split(" | ")[0].strip("| "): row.split(" | ") for row in printed.splitlines() if row.startswith("| a")}
    # SmolLM2-135M has 30 layers of width 576: attention 2·576² + 2·576·192, two norms, feed-forward 3·576·1536.
    assert {name: row[1] for name, row in rows.items()} == {"attention": "26.6", "all": "106.2"}
    assert rows["all"][3] == "1.00"
