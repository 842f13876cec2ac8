"""Progress bars on a terminal and in a log: a stage has one line, which shows the counts of the bar inside it."""

from __future__ import annotations

import os
import pty
import re
import sys
from pathlib import Path

import pytest

from metrics.util.progress import ProgressBar, progress

PROGRAM = """
from metrics.util.progress import ProgressBar, progress
with ProgressBar("[4/9] training", None, always=True):
    with ProgressBar("training", 2, unit="steps") as bar:
        for step in range(2):
            list(progress(range(3), f"development, step {step}", "sentences"))
            bar.update(note=f"loss {step}")
"""


def test_on_a_terminal_the_stage_keeps_one_line_with_the_counts_of_the_inner_bar() -> None:
    shown = b""

    def read(descriptor: int) -> bytes:
        nonlocal shown
        data = os.read(descriptor, 4096)
        shown += data
        return b"."

    root = Path(__file__).resolve().parents[2]
    arguments = ["env", f"PYTHONPATH={root}", "COLUMNS=100", "TERM=xterm", sys.executable, "-c", PROGRAM]
    assert pty.spawn(arguments, read, lambda _: b"") == 0, shown.decode()
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode()).replace("\r", "\n").split("\n")
    last = [line for line in lines if line.strip()][-1]
    assert last.startswith("[4/9] training ") and "2/2 steps" in last and last.rstrip().endswith("loss 1")
    assert any(line.startswith("development, step") for line in lines)


def test_in_a_log_the_stage_leaves_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("[3/9] warm-up", None, always=True):
        pass
    with ProgressBar("[4/9] training", None, always=True), ProgressBar("training", 2, unit="steps") as bar:
        for step in progress(range(2), "inner"):
            bar.update(note=f"loss {step}")
    assert capsys.readouterr().err == "[3/9] warm-up: 0.0 s\n[4/9] training: 2 steps in 0.0 s, loss 1\n"
