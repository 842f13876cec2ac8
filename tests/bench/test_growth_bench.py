"""The growth bench runs its commands; how they grow is for a quiet machine to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benches import run_bench


@pytest.mark.full
def test_every_command_is_measured(data_dir: Path) -> None:
    commands = ["score", "publish", "verify", "board"]
    printed = run_bench("growth", "--data-dir", str(data_dir), "--times", "1", "--commands", *commands)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if line[:2] == "| "]
    assert [(row[0], row[1]) for row in rows[1:]] == [(name, "1") for name in commands]
    assert all(float(row[2]) > 0 and float(row[4].replace(",", "")) > 0 for row in rows[1:])
