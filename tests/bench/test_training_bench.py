"""The training bench runs, on tiny leaders; how fast is for a quiet machine to say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize(("kind", "arms"), [("tiny_llama", ["ours", "released", "trl"]), ("tiny_t5", ["ours-recipe"])])
def test_every_arm_takes_its_steps(kind: str, arms: list[str], request: pytest.FixtureRequest) -> None:
    size = ["--layers", "1", "--rollouts", "4", "--copies", "2", "--steps", "1", "--repeats", "1"]
    done = subprocess.run(
        [sys.executable, "bench/training.py", "--leader", str(request.getfixturevalue(kind)), *size, "--arms", *arms],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [row[0].strip() for row in rows[1:]] == arms
    assert all(float(row[1]) > 0 and float(row[3].replace(",", "")) > 100 for row in rows[1:])
    assert ("billion useful operations" in done.stdout) == ("ours" in arms)
