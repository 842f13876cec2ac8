"""Training by several processes, as `accelerate launch` starts them: the curve of one process with all their rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.numpy import load_file

from tests.leaders import SMALL

ROOT = Path(__file__).resolve().parent.parent.parent


HALF = {"batch_size": 2, "warmup_batch_size": 2}


def start(out: Path, leader: Path, processes: int, **sizes: int) -> subprocess.Popen[str]:
    """`repro.run smoke` on a tiny leader."""
    program = ["-m", "repro.run", "smoke", "--out", str(out)]
    for setting in (f"leader={leader}", *SMALL, *(f"{key}={value}" for key, value in sizes.items())):
        program += ["--set", setting]
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "accelerate.commands.launch", "--config_file", str(ROOT / "repro" / "accelerate" / "ddp.yaml")]
        launch += ["--num_processes", str(processes), "--main_process_port", "0"]
    own = {key: value for key, value in os.environ.items() if key != "SRO_DATA_DIR"}
    env = {**own, "ACCELERATE_USE_CPU": "true", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*launch, *program], cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )  # fmt: skip


def retrain(out: Path, leader: Path, processes: int, **sizes: int) -> list[dict[str, Any]]:
    """Lets a run come to its end; returns what its log says of the two trainings."""
    process = start(out, leader, processes, **sizes)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    events = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    return [event for event in events if event["stage"] in ("warm-up", "training")]


@pytest.fixture(scope="module")
def together(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A run of two processes: its folder, and what its log says."""
    out = tmp_path_factory.mktemp("two") / "run"
    return out, retrain(out, tiny_llama, 2, **HALF)


def test_two_processes_train_as_one_with_twice_the_batch(
    together: tuple[Path, list[dict[str, Any]]], tiny_llama: Path, tmp_path: Path
) -> None:
    one = retrain(tmp_path / "one", tiny_llama, 1, batch_size=4, warmup_batch_size=4)
    out, two = together
    assert [event.keys() for event in one] == [event.keys() for event in two]
    curves = [[event for event in events if "loss" in event] for events in (one, two)]
    assert len(curves[0]) == 8
    for alone, together in zip(*curves, strict=True):
        for key in alone.keys() - {"time", "stage"}:
            assert together[key] == pytest.approx(alone[key], rel=1e-3, abs=1e-5), key
    developments = [[event["development"] for event in events if "development" in event] for events in (one, two)]
    assert len(developments[0]) == 3 and developments[0] == developments[1]
    trained = [load_file(folder / "checkpoint" / "model.safetensors") for folder in (tmp_path / "one", out)]
    for name, value in trained[0].items():
        assert trained[1][name] == pytest.approx(value, rel=1e-3, abs=1e-5), name


def test_processes_that_are_killed_go_on_as_if_they_had_not_been(
    together: tuple[Path, list[dict[str, Any]]], tiny_llama: Path, tmp_path: Path
) -> None:
    out, whole = together
    process = start(tmp_path, tiny_llama, 2, **HALF)
    until = time.monotonic() + 240
    while not any(tmp_path.glob("stages/.training-*/training/checkpoint-2/complete")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    # The launcher's processes are no group.
    launcher = psutil.Process(process.pid)
    for each in (launcher, *launcher.children(recursive=True)):
        each.kill()
    process.communicate()
    assert not (tmp_path / "checkpoint").exists()
    events = retrain(tmp_path, tiny_llama, 2, **HALF)
    losses = [(event["step"], event["loss"]) for event in events if event["stage"] == "training" and "loss" in event]
    assert set(losses) == {(e["step"], e["loss"]) for e in whole if e["stage"] == "training" and "loss" in e}
    # Steps 1 and 2 were taken once: the second start found them.
    assert [step for step, _ in losses].count(2) == 1 and losses[-1][0] == 4
    weights = [folder / "checkpoint" / "model.safetensors" for folder in (out, tmp_path)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
