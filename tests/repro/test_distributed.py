"""Training by several processes, as `accelerate launch` starts them: the curve of one process with all their rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parent.parent.parent
SMALL = (
    "toxic_limit=24", "warmup_steps=4", "steps=4", "evaluate_every=2", "development_limit=4", "test_limit=4",
    "max_new_tokens=8", "rollout_max_new_tokens=8", "follower=screener", "flip_rate=0.3", "stop_repetition=1",
    "stop_length_ratio=0", "learning_rate=0.01",
)  # fmt: skip


def retrain(out: Path, leader: Path, processes: int, **sizes: int) -> list[dict[str, Any]]:
    """`repro.run smoke` on a tiny leader; returns what its log says of the two trainings."""
    program = ["-m", "repro.run", "smoke", "--out", str(out)]
    for setting in (f"leader={leader}", *SMALL, *(f"{key}={value}" for key, value in sizes.items())):
        program += ["--set", setting]
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "accelerate.commands.launch", "--config_file", str(ROOT / "repro" / "accelerate" / "ddp.yaml")]
        launch += ["--num_processes", str(processes), "--main_process_port", "0"]
    own = {key: value for key, value in os.environ.items() if key != "SRO_DATA_DIR"}
    env = {**own, "ACCELERATE_USE_CPU": "true", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, *program], cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    events = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    return [event for event in events if event["stage"] in ("warm-up", "training")]


def test_two_processes_train_as_one_with_twice_the_batch(tiny_llama: Path, tmp_path: Path) -> None:
    one = retrain(tmp_path / "one", tiny_llama, 1, batch_size=4, warmup_batch_size=4)
    two = retrain(tmp_path / "two", tiny_llama, 2, batch_size=2, warmup_batch_size=2)
    assert [event.keys() for event in one] == [event.keys() for event in two]
    curves = [[event for event in events if "loss" in event] for events in (one, two)]
    assert len(curves[0]) == 8
    for alone, together in zip(*curves, strict=True):
        for key in alone.keys() - {"time", "stage"}:
            assert together[key] == pytest.approx(alone[key], rel=1e-3, abs=1e-5), key
    developments = [[event["development"] for event in events if "development" in event] for events in (one, two)]
    assert len(developments[0]) == 3 and developments[0] == developments[1]
    trained = [load_file(tmp_path / name / "checkpoint" / "model.safetensors") for name in ("one", "two")]
    for name, value in trained[0].items():
        assert trained[1][name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
