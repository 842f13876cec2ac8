"""Training by several processes, as `accelerate launch` starts them: the curve of one process with all their rows."""

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

ROOT = Path(__file__).resolve().parent.parent.parent
# Of each of two processes; and of one that is alone.
HALF, ALL = ({"batch_size": n, "warmup_batch_size": n} for n in (2, 4))
SETTINGS: dict[str, dict[str, Any]] = {
    "llama": {},
    # Greedy: each process draws for itself with an encoder-decoder leader. Slow: rounding makes less of a difference.
    "t5": {"train": "full", "rollouts": 1, "sample": "false", "learning_rate": 0.001},
}


@dataclass(frozen=True)
class Run:
    """events: what its log says of the two trainings."""

    out: Path
    events: list[dict[str, Any]]

    def weights(self) -> dict[str, Any]:
        return load_file(self.out / "checkpoint" / "model.safetensors")


def start(
    out: Path, leader: Path, kind: str | None, settings: dict[str, Any], program: Sequence[str] = ("repro.run",)
) -> subprocess.Popen[str]:
    """`repro.run smoke` on a tiny leader. kind: accelerate's configuration for two processes; None: one without it."""
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
    """Lets a run come to its end."""
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    events = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    return Run(out, [event for event in events if event["stage"] in ("warm-up", "training")])


@pytest.fixture(scope="module")
def leaders(tiny_llama: Path, tiny_t5: Path) -> dict[str, Path]:
    return {"llama": tiny_llama, "t5": tiny_t5}


@pytest.fixture(scope="module")
def run(leaders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str | None], Run]:
    """run(leader, kind): a run, done once; two processes leave beside its folder what each held."""

    @functools.cache
    def done(leader: str, kind: str | None) -> Run:
        folder = tmp_path_factory.mktemp("run")
        settings, out = {**(HALF if kind else ALL), **SETTINGS[leader]}, folder / "run"
        program = ["tests.held", str(folder)] if kind else ["repro.run"]
        return finish(start(out, leaders[leader], kind, settings, program), out)

    return done


@pytest.mark.parametrize(("leader", "kind"), [("llama", "ddp"), ("llama", "fsdp"), ("t5", "fsdp")])
def test_two_processes_train_as_one_with_twice_the_batch(
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
    # Adam steps in full where a gradient is nothing but rounding, as in places of T5's.
    near = 1e-5 if leader == "llama" else 5e-4
    for name, value in alone.weights().items():
        assert weights[name] == pytest.approx(value, rel=1e-3, abs=near), name


@pytest.mark.parametrize(("leader", "kind"), [("llama", "ddp"), ("llama", "fsdp"), ("t5", "fsdp")])
def test_a_process_holds_its_share_of_what_is_trained(
    leader: str, kind: str, run: Callable[[str, str | None], Run]
) -> None:
    for rank in range(2):
        trained, *held = json.loads((run(leader, kind).out.parent / f"held-{rank}.json").read_text())
        share = trained // 2 if kind == "fsdp" else trained
        assert held == [share, 2 * share]


def test_only_the_first_removes_what_a_kill_left(run: Callable[[str, str | None], Run]) -> None:
    """Another might come to it late, and remove what the first has begun since."""
    assert [path.name for path in run("llama", "ddp").out.parent.glob("removes-*")] == ["removes-0"]


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_processes_that_are_killed_go_on_as_if_they_had_not_been(
    kind: str, run: Callable[[str, str | None], Run], leaders: dict[str, Path], tmp_path: Path
) -> None:
    whole = run("llama", kind)
    process = start(tmp_path, leaders["llama"], kind, HALF)
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
    again = finish(start(tmp_path, leaders["llama"], kind, HALF), tmp_path)
    losses, unbroken = (
        [(e["step"], e["loss"]) for e in each.events if e["stage"] == "training" and "loss" in e]
        for each in (again, whole)
    )
    assert set(losses) == set(unbroken)
    # Steps 1 and 2 were taken once: the second start found them.
    assert [step for step, _ in losses].count(2) == 1 and losses[-1][0] == 4
    weights = [each.out / "checkpoint" / "model.safetensors" for each in (whole, again)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.parametrize("kind", [None, "ddp"])
def test_a_kill_at_the_end_of_a_training_costs_none_of_it(
    kind: str | None, run: Callable[[str, str | None], Run], leaders: dict[str, Path], tmp_path: Path
) -> None:
    """What is half removed is not gone on from, and what was trained is not trained again."""
    whole, settings = run("llama", kind), HALF if kind else ALL
    for stage in ("warm-up", "training"):
        process = start(tmp_path, leaders["llama"], kind, settings, ["tests.dies", stage])
        process.communicate(timeout=300)
        assert not (tmp_path / "stages" / stage).exists()
        assert [path.name for path in tmp_path.glob(f"stages/.{stage}-*/.training.old.*/training")] == ["training"]
    again = finish(start(tmp_path, leaders["llama"], kind, settings), tmp_path)
    steps = [(event["stage"], event["step"]) for event in again.events if "loss" in event]
    assert steps == [(stage, step) for stage in ("warm-up", "training") for step in (1, 2, 3, 4)]
    weights = [each.out / "checkpoint" / "model.safetensors" for each in (whole, again)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert not list(tmp_path.rglob("*.old.*"))
