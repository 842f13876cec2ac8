"""The soak runs: a run that was killed once ends as the one that was left alone."""

from __future__ import annotations

from pathlib import Path

from tests.benches import run_bench


def test_a_killed_run_ends_as_the_other(tmp_path: Path) -> None:
    printed = run_bench("soak", "--kills", "1", "--out", str(tmp_path / "soak"))
    assert "round 0: 1 kills, the same result" in printed
    assert "1 kills in 1 rounds: every run ended with the result of the one left alone" in printed
    assert not list((tmp_path / "soak").glob("round-*"))
