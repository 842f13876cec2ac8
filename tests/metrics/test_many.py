"""Many systems: one process and Ray workers, one of which is killed, give the same rows."""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from leaderboard.rows.results import row_from_result
from metrics.scoring.jobs import Job, run_jobs
from metrics.systems import rewriting as systems
from metrics.util.files import cache_dir

ROOT = Path(__file__).resolve().parent.parent.parent


def command(out: Path, *arguments: str, caches: Path) -> subprocess.Popen[str]:
    env = {key: value for key, value in os.environ.items() if key != "SRO_DATA_DIR"}
    env |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "SRO_HOME": str(caches)}
    program = [sys.executable, "-m", "metrics.many", *arguments, "--test-set", "sample", "--limit", "24"]
    return subprocess.Popen(
        [*program, "--out", str(out)], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def rows(folder: Path) -> dict[str, str]:
    """The leaderboard's row of each result, as it is stored, by the system's name."""
    date = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    found = {}
    for path in folder.glob("*.json"):
        row, _ = row_from_result(json.loads(path.read_text()), str(path), submitter="local", date=date)
        found[row.system.name] = row.to_json()
    return found


def busy_workers(parent: int) -> list[psutil.Process]:
    """Ray workers, among the descendants of a process, that are running a job."""
    found = []
    for process in psutil.Process(parent).children(recursive=True):
        try:
            if process.name() == "ray::_run_group":
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.full
def test_rows_of_ray_workers_equal_those_of_one_process_even_if_a_worker_is_killed(
    tiny_llama: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    own = tmp_path / "home"
    own.mkdir()
    (own / "models").symlink_to(cache_dir() / "models")
    outputs = tmp_path / "outputs.txt"
    outputs.write_text("".join(f"a calm sentence, number {i}\n" for i in range(24)))
    listed = tmp_path / "systems.txt"
    listed.write_text(f"duplicate\ndelete\n{outputs}\n{tiny_llama}\n{tmp_path / 'missing'}\n")
    process = command(tmp_path / "ray", f"@{listed}", "--workers", "2", caches=own)
    killed = None
    until = time.monotonic() + 120
    while killed is None and process.poll() is None and time.monotonic() < until:
        for worker in busy_workers(process.pid)[:1]:
            os.kill(worker.pid, signal.SIGKILL)
            killed = worker.pid
        time.sleep(0.02)
    out, err = process.communicate(timeout=240)
    assert killed is not None, err
    # One of the five systems does not exist: one line reports it, and the others are scored.
    assert process.returncode == 1 and "4 results, 4 of them new" in out, err
    assert f"{tmp_path / 'missing'}, sample: " in err and "Traceback" not in err
    alone = command(tmp_path / "alone", f"@{listed}", caches=own)
    assert "4 results, 4 of them new" in alone.communicate(timeout=240)[0]
    by_ray, by_one = rows(tmp_path / "ray"), rows(tmp_path / "alone")
    assert len(by_one) == 4 and by_ray == by_one
    outputs.write_text("".join(f"another sentence, number {i}\n" for i in range(24)))
    again = command(tmp_path / "alone", "duplicate", "delete", str(outputs), caches=own)
    assert "3 results, 1 of them new" in again.communicate(timeout=120)[0]


def test_a_model_is_loaded_once_for_all_of_its_jobs(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    load_model = systems.load_model

    def counted(*given: object, **named: object) -> object:
        loads.append(given)
        return load_model(*given, **named)

    monkeypatch.setattr(systems, "load_model", counted)
    job = Job(str(tiny_llama), "", "sample", 3, ("offline",), None, 4, "float32")
    jobs = [job, replace(job, test_set="no-such-set"), replace(job, limit=2)]
    done = list(run_jobs(jobs))
    assert [bool(result.error) for result in done] == [False, True, False]
    assert [len(result.document["sentences"]) for result in done if not result.error] == [3, 2]
    assert len(loads) == 1
    # A dtype applies to the models among the systems; others are scored without it.
    narrow = replace(job, dtype="bfloat16", limit=2)
    model, baseline = (next(run_jobs([replace(narrow, system=name)])) for name in (str(tiny_llama), "delete"))
    assert model.document["system"]["decoding"]["dtype"] == "bfloat16" and not baseline.error


@pytest.mark.full
def test_rows_of_a_cluster_of_two_nodes_equal_those_of_one_process(tiny_llama: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    own = tmp_path / "home"
    own.mkdir()
    (own / "models").symlink_to(cache_dir() / "models")
    # The nodes' workers are theirs, not the command's: they have the nodes' environment.
    with pytest.MonkeyPatch.context() as patch:
        for key, value in {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "SRO_HOME": str(own)}.items():
            patch.setenv(key, value)
        patch.setenv("PYTHONPATH", str(ROOT))
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        try:
            cluster.add_node(num_cpus=1)
            process = command(tmp_path / "ray", "delete", str(tiny_llama), "--address", cluster.address, caches=own)
            out, err = process.communicate(timeout=240)
        finally:
            cluster.shutdown()
    assert "2 results, 2 of them new" in out, err
    alone = command(tmp_path / "alone", "delete", str(tiny_llama), caches=own)
    assert "2 results" in alone.communicate(timeout=240)[0]
    assert rows(tmp_path / "ray") == rows(tmp_path / "alone")
