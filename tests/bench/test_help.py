"""Every bench starts: what it imports from its neighbours is there."""

from __future__ import annotations

import pytest

from tests.benches import ROOT, run_bench


@pytest.mark.parametrize(
    "name", sorted({path.stem for path in (ROOT / "bench").glob("*.py")} - {"leaders", "measuring"})
)
def test_help_is_printed(name: str) -> None:
    assert "usage:" in run_bench(name, "--help")
