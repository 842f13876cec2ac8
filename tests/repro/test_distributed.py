"""Training in several processes, started by `accelerate launch`: it follows the curve of one with the joint batch."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.numpy import load_file

from tests.leaders import SMALL

pytestmark = pytest.mark.full
ROOT = Path(__file__).resolve().parent.parent.parent
# Batch sizes of each of two processes, and of a single one.
HALF, ALL = ({"batch_size": n, "warmup_batch_size": n} for n in (2, 4))
SETTINGS: dict[str, dict[str, Any]] = {
    "llama": {},
    # Greedy, because with an encoder-decoder leader each process draws its own random numbers. A low learning rate, so
    # that rounding errors stay small.
    "t5": {"train": "full", "rollouts": 1, "sample": "false", "learning_rate": 0.001},
}


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, and the log events of warm-up and training."""

    out: Path
    events: list[dict[str, Any]]

    def weights(self) -> dict[str, Any]:
        return load_file(self.out / "checkpoint" / "model.safetensors")


def start(
    out: Path, leader: Path, kind: str | None, settings: dict[str, Any], program: Sequence[str] = ("repro.run",)
) -> subprocess.Popen[str]:
    """Start `repro.run smoke` on a tiny leader: two processes with accelerate's configuration `kind`, one for None."""
    arguments = ["-m", *program, "smoke", "--out", str(out)]
    for setting in (f"leader={leader}", *SMALL, *(f"{key}={value}" for key, value in settings.items())):
        arguments += ["--set", setting]
    launch = [sys.executable]
    if kind:
        config = ROOT / "repro" / "accelerate" / f"{kind}.yaml"
        launch += ["-m", "accelerate.commands.launch", "--config_file", str(config)]
        launch += ["--num_processes", "2", "--main_process_port", "0"]
    own = {key: value for key, value in os.environ.items() if key != "SRO_DATA_DIR"}
    env = {**own, "ACCELERATE_USE_CPU": "true", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*launch, *arguments], cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )  # fmt: skip


def finish(process: subprocess.Popen[str], out: Path) -> Run:
    """Wait for the end of a run, which must succeed."""
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    events = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    # Without messages of other libraries, which depend on the number of processes.
    return Run(out, [e for e in events if e["stage"] in ("warm-up", "training") and "library" not in e])


@pytest.fixture(scope="module")
def leaders(tiny_llama: Path, tiny_t5: Path) -> dict[str, Path]:
    return {"llama": tiny_llama, "t5": tiny_t5}


@pytest.fixture(scope="module")
def run(leaders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str | None], Run]:
    """run(leader, kind): a run, started once; with two processes, each records its shards next to the run's folder."""

    @functools.cache
    def done(leader: str, kind: str | None) -> Run:
        folder = tmp_path_factory.mktemp("run")
        settings, out = {**(HALF if kind else ALL), **SETTINGS[leader]}, folder / "run"
        program = ["tests.record_shards", str(folder)] if kind else ["repro.run"]
        return finish(start(out, leaders[leader], kind, settings, program), out)

    return done


@pytest.mark.parametrize(("leader", "kind"), [("llama", "ddp"), ("llama", "fsdp"), ("t5", "fsdp")])
def test_two_processes_train_like_one_with_twice_the_batch_size(
    leader: str, kind: str, run: Callable[[str, str | None], Run]
) -> None:
    alone, together = run(leader, None), run(leader, kind)
    assert [event.keys() for event in alone.events] == [event.keys() for event in together.events]
    curves = [[event for event in each.events if "loss" in event] for each in (alone, together)]
    assert len(curves[0]) == 8
    for one, two in zip(*curves, strict=True):
        for key in one.keys() - {"time", "stage"}:
            assert two[key] == pytest.approx(one[key], rel=1e-3, abs=1e-5), key
    developments = [
        [event["development"] for event in each.events if "development" in event] for each in (alone, together)
    ]
    assert len(developments[0]) == 3 and developments[0] == developments[1]
    weights = together.weights()
    # Adam takes full steps along gradients that are rounding errors, which some of T5's are.
    near = 1e-5 if leader == "llama" else 5e-4
    for name, value in alone.weights().items():
        assert weights[name] == pytest.approx(value, rel=1e-3, abs=near), name


@pytest.mark.parametrize(("leader", "kind"), [("llama", "ddp"), ("llama", "fsdp"), ("t5", "fsdp")])
def test_fsdp_processes_hold_half_of_weights_and_optimizer_states(
    leader: str, kind: str, run: Callable[[str, str | None], Run]
) -> None:
    for rank in range(2):
        trained, *local = json.loads((run(leader, kind).out.parent / f"shards-{rank}.json").read_text())
        share = trained // 2 if kind == "fsdp" else trained
        assert local == [share, 2 * share]


def test_only_the_main_process_removes_temporary_files(run: Callable[[str, str | None], Run]) -> None:
    """Another process might be late, and remove what the main process has begun since."""
    assert [path.name for path in run("llama", "ddp").out.parent.glob("cleanup-*")] == ["cleanup-0"]


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_killed_distributed_training_resumes_to_equal_weights(
    kind: str, run: Callable[[str, str | None], Run], leaders: dict[str, Path], tmp_path: Path
) -> None:
    uninterrupted = run("llama", kind)
    process = start(tmp_path, leaders["llama"], kind, HALF)
    until = time.monotonic() + 240
    while not any(tmp_path.glob("stages/.training-*/training/checkpoint-2/complete")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    # The launcher's processes form no process group.
    launcher = psutil.Process(process.pid)
    for each in (launcher, *launcher.children(recursive=True)):
        each.kill()
    process.communicate()
    assert not (tmp_path / "checkpoint").exists()
    again = finish(start(tmp_path, leaders["llama"], kind, HALF), tmp_path)
    losses, expected = (
        [(e["step"], e["loss"]) for e in each.events if e["stage"] == "training" and "loss" in e]
        for each in (again, uninterrupted)
    )
    assert set(losses) == set(expected)
    # The second start resumes after step 2.
    assert [step for step, _ in losses].count(2) == 1 and losses[-1][0] == 4
    weights = [each.out / "checkpoint" / "model.safetensors" for each in (uninterrupted, again)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.parametrize("kind", [None, "ddp"])
def test_a_kill_while_checkpoints_are_removed_keeps_the_training(
    kind: str | None, run: Callable[[str, str | None], Run], leaders: dict[str, Path], tmp_path: Path
) -> None:
    """A run does not resume from half-removed checkpoints, and does not train again."""
    uninterrupted, settings = run("llama", kind), HALF if kind else ALL
    for stage in ("warm-up", "training"):
        process = start(tmp_path, leaders["llama"], kind, settings, ["tests.kill_in_cleanup", stage])
        process.communicate(timeout=300)
        assert not (tmp_path / "stages" / stage).exists()
        assert [path.name for path in tmp_path.glob(f"stages/.{stage}-*/.training.old.*/training")] == ["training"]
    again = finish(start(tmp_path, leaders["llama"], kind, settings), tmp_path)
    steps = [(event["stage"], event["step"]) for event in again.events if "loss" in event]
    assert steps == [(stage, step) for stage in ("warm-up", "training") for step in (1, 2, 3, 4)]
    weights = [each.out / "checkpoint" / "model.safetensors" for each in (uninterrupted, again)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert not list(tmp_path.rglob("*.old.*"))
