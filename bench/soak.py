"""The command `python bench/soak.py`: kills `repro.run smoke` at random moments, and sees that nothing is lost by it.

First one run is left alone. Then rounds: a run is started in a new folder with caches of its own, killed (SIGKILL, its
whole process group) a random time after it went on with its first stage, started again, and so on, until it comes to
its end before it is killed, or has been killed often enough and is let through. In some rounds kills come thick, in
others far between. Each round must end as the run left alone did: the same weights, development scores, rewrites and
test scores, and the same files, none more. The stages that kills hit are counted.

Ends after --kills kills, or at the first round that ends otherwise; its folder is kept and the soak does not go on
before it is moved away. A soak that is itself killed goes on with the next round.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metrics.scoring.environment import git_commit
from metrics.util.console import command_parser
from metrics.util.errors import InputError, run_command
from metrics.util.files import append_json_lines, cache_dir, content_hash, read_json_lines, sha256_file, write_json

MOST_KILLS_A_ROUND = 24
# The longest wait for a kill, as a share of what the run left alone took; a round draws its own between the two.
PACES = (0.1, 0.8)
# A run that goes nowhere must not hold the soak up for ever: this many times what the run left alone took.
PATIENCE = 20
# How a run tells on its log which stage it is at.
STAGE = re.compile(rb"^\[\d+/\d+\] ([a-z-]+)$", re.MULTILINE)


def environment(caches: Path) -> dict[str, str]:
    """Caches of the round's own, but for the unpacked models: finding a stage's work in a cache would hide its loss."""
    caches.mkdir(parents=True, exist_ok=True)
    models, own = cache_dir() / "models", caches / "models"
    models.mkdir(parents=True, exist_ok=True)
    if not own.is_symlink():
        own.symlink_to(models.resolve(), target_is_directory=True)
    return {**os.environ, "SRO_HOME": str(caches), "HF_HUB_OFFLINE": "1"}


def die_with_parent() -> None:
    """In a new process: a bench that is killed must not leave a command that goes on (prctl's PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


@contextlib.contextmanager
def running(folder: Path, recipe: str) -> Iterator[subprocess.Popen[bytes]]:
    """The run in `folder` as a process group of its own, which does not outlive the block."""
    command = [sys.executable, "-m", "repro.run", recipe, "--out", str(folder / "run")]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=environment(folder / "caches"),
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def finish(folder: Path, recipe: str, limit: float | None) -> float:
    """Lets a run through; returns its seconds. Errors: a run that fails, or takes longer than `limit` seconds."""
    begun = time.monotonic()
    with running(folder, recipe) as process:
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            raise InputError(f"{folder}: not at its end after {limit:.0f} s; see log.txt there") from None
    _must_be_well(folder, process)
    return time.monotonic() - begun


def kill_after(folder: Path, recipe: str, seconds: float) -> str | None:
    """Starts the run and kills it so many seconds after its first stage began; the stage it was at.

    None where it had come to its end by then. Errors: a run that fails by itself.
    """
    with running(folder, recipe) as process:
        while process.poll() is None and _stage(folder) is None:
            time.sleep(0.05)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return _stage(folder)
    _must_be_well(folder, process)
    return None


def _must_be_well(folder: Path, process: subprocess.Popen[bytes]) -> None:
    if process.returncode:
        raise InputError(f"{folder}: the run ended with exit code {process.returncode}; see log.txt there")


def _stage(folder: Path) -> str | None:
    """The stage that the run in `folder` works at, if it has begun with one."""
    found = STAGE.findall((folder / "log.txt").read_bytes())
    return found[-1].decode() if found else None


def result(folder: Path) -> dict[str, Any]:
    """What must not depend on kills: weights, development scores, rewrites, test scores, and the files there are."""
    import pandas as pd

    run = folder / "run"
    outcome = json.loads((run / "stages" / "training" / "outcome.json").read_text("utf-8"))
    frames = {}
    for name in ("rewrites", "scores"):
        frames[name] = content_hash(json.loads(pd.read_parquet(run / f"{name}.parquet").to_json(double_precision=15)))
    return {
        "weights": sha256_file(run / "checkpoint" / "model.safetensors"),
        "outcome": content_hash(outcome),
        **frames,
        # Run ids and file names of the leaderboard are made of the date.
        "files": sorted({re.sub(r"\d{6,}\w*", "…", p.relative_to(run).as_posix()) for p in run.rglob("*")}),
    }


def main(argv: list[str]) -> None:
    parser = command_parser("python bench/soak.py", __doc__)
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="end after so many kills (200)")
    parser.add_argument("--recipe", default="smoke", metavar="NAME", help="the recipe to run (smoke)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the moments (1)")
    parser.add_argument("--out", default="runs/soak", metavar="DIR", help="where the runs go (runs/soak)")
    options = parser.parse_args(argv)
    out = Path(options.out)
    what = {"recipe": options.recipe, "commit": git_commit(), "seed": options.seed}
    alone = out / "alone"
    if not (out / "alone.json").is_file():
        shutil.rmtree(alone, ignore_errors=True)
        alone.mkdir(parents=True)
        seconds = finish(alone, options.recipe, None)
        write_json(out / "alone.json", {**what, "seconds": seconds, "result": result(alone)})
    told = json.loads((out / "alone.json").read_text("utf-8"))
    if {key: told[key] for key in what} != what:
        raise InputError(f"{out}: holds a soak of another recipe, commit or seed; give another --out")
    print(f"left alone: {told['seconds']:.0f} s", flush=True)
    done = read_json_lines(out / "rounds.jsonl")
    with append_json_lines(out / "rounds.jsonl") as append:
        while (kills := sum(len(entry["stages"]) for entry in done)) < options.kills:
            number = len(done)
            folder = out / f"round-{number}"
            if any(entry.get("failed") for entry in done):
                raise InputError(f"{out}: an earlier round failed; see rounds.jsonl, and give another --out")
            stages, problem = _round(folder, options, number, told, options.kills - kills)
            done.append({"round": number, "stages": stages, **({"failed": problem} if problem else {})})
            append(done[-1])
            if problem:
                raise InputError(problem)
            shutil.rmtree(folder)
            print(f"round {number}: {len(stages)} kills, the same result", flush=True)
    hit = Counter(stage for entry in done for stage in entry["stages"])
    print(f"{kills} kills in {len(done)} rounds: every run ended with the result of the one left alone")
    print(", ".join(f"{stage} {count}" for stage, count in hit.most_common()))


def _round(
    folder: Path, options: argparse.Namespace, number: int, told: dict[str, Any], left: int
) -> tuple[list[str], str | None]:
    """One round in a new folder: the stages that its kills hit, and what was wrong with its end, if anything."""
    # A soak that was killed leaves an unfinished round of this number.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = random.Random(f"{options.seed}/{number}")
    longest = rng.uniform(*PACES) * told["seconds"]
    stages: list[str] = []
    try:
        for _ in range(min(left, MOST_KILLS_A_ROUND)):
            stage = kill_after(folder, options.recipe, rng.uniform(0, longest))
            if stage is None:
                break
            stages.append(stage)
        else:
            finish(folder, options.recipe, PATIENCE * told["seconds"])
    except InputError as error:
        return stages, str(error)
    found = result(folder)
    differing = [key for key, value in told["result"].items() if found[key] != value]
    return stages, f"{folder}: ended otherwise in {', '.join(differing)}" if differing else None


if __name__ == "__main__":
    run_command(main)
