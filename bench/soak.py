"""The command `python bench/soak.py`: kills `repro.run smoke` at random moments, and checks that nothing is lost.

An uninterrupted run is the reference. Then come rounds: each starts a run in a new folder with caches of its own, kills
it (SIGKILL to its process group) a random time after its first stage, starts it again, and so on, until the run ends
before its kill or has been killed often enough. Kills are frequent in some rounds and rare in others. Each round must
end like the reference: the same weights, development scores, rewrites and test scores, and the same files.

The soak ends after --kills kills, or at the first round with another result; it keeps that round's folder. A soak that
was interrupted resumes with the next round.
"""

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
from pathlib import Path
from typing import Any

import pandas as pd

from metrics.scoring.result import git_commit
from metrics.util.console import command_parser
from metrics.util.errors import InputError, run_command
from metrics.util.files import append_json_lines, cache_dir, content_hash, read_json_lines, sha256_file, write_json

_MOST_KILLS = 24  # per round
# The longest wait for a kill, as a share of the reference's time; each round draws its own in this range.
_WAITS = (0.1, 0.8)
# A round may take this many times the reference's time, so that a run that hangs ends the soak.
_PATIENCE = 20


def isolated_environment(caches: Path) -> dict[str, str]:
    """Return an environment with caches in `caches` and shared unpacked models; shared caches hide a lost stage."""
    caches.mkdir(parents=True, exist_ok=True)
    models, own = cache_dir() / "models", caches / "models"
    models.mkdir(parents=True, exist_ok=True)
    if not own.is_symlink():
        own.symlink_to(models.resolve(), target_is_directory=True)
    return {**os.environ, "SRO_HOME": str(caches), "HF_HUB_OFFLINE": "1"}


def die_with_parent() -> None:
    """Runs in a new process: ends it when a killed soak ends (PR_SET_PDEATHSIG of prctl)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _is_event(line: Any) -> bool:
    return isinstance(line, dict)


def _run(folder: Path, recipe: str, seconds: float | None) -> str | None:
    """Start the run in `folder`, kill it `seconds` after its first stage began, and return the stage.

    Return None if the run ended before; `seconds` is None to let it end.
    """
    command = [sys.executable, "-m", "repro.run", recipe, "--out", str(folder / "run")]
    log = folder / "run" / "log.jsonl"
    old = len(read_json_lines(log, _is_event))
    with (folder / "log.txt").open("wb") as output:
        process = subprocess.Popen(
            command, env=isolated_environment(folder / "caches"), stdout=output, stderr=output,
            start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
    try:
        while process.poll() is None and _stage(log, old) is None:
            time.sleep(0.05)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    finally:
        killed = process.poll() is None
        if killed:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if killed:
        return _stage(log, old)
    if process.returncode:
        raise InputError(f"{folder}: the run ended with exit code {process.returncode}; see log.txt there")
    return None


def _stage(log: Path, old: int) -> str | None:
    """The stage that started last, after the `old` first events of a run's log."""
    events = read_json_lines(log, _is_event)[old:]
    return next((event["stage"] for event in reversed(events) if event.get("event") == "start"), None)


def _result(folder: Path) -> dict[str, Any]:
    """What kills must not change: weights, development scores, rewrites, test scores, and the names of all files."""
    run = folder / "run"
    frames = {name: pd.read_parquet(run / f"{name}.parquet") for name in ("rewrites", "scores")}
    return {
        "weights": sha256_file(run / "checkpoint" / "model.safetensors"),
        "outcome": content_hash(json.loads((run / "stages" / "training" / "outcome.json").read_text("utf-8"))),
        **{name: content_hash(json.loads(frame.to_json(double_precision=15))) for name, frame in frames.items()},
        # Run ids and file names of the leaderboard contain the date.
        "files": sorted({re.sub(r"\d{6,}\w*", "…", p.relative_to(run).as_posix()) for p in run.rglob("*")}),
    }


def _reference(out: Path, what: dict[str, Any]) -> dict[str, Any]:
    """The uninterrupted run's seconds and result, which is done first if it is missing."""
    stored, folder = out / "alone.json", out / "alone"
    if not stored.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        start = time.monotonic()
        _run(folder, what["recipe"], None)
        write_json(stored, {**what, "seconds": time.monotonic() - start, "result": _result(folder)})
    reference: dict[str, Any] = json.loads(stored.read_text("utf-8"))
    if {key: reference[key] for key in what} != what:
        raise InputError(f"{out}: holds a soak of another recipe, commit or seed; give another --out")
    return reference


def _round(folder: Path, number: int, reference: dict[str, Any], most: int) -> tuple[list[str], str | None]:
    """Do one round in a new folder; return the stages that its kills hit, and how its end differs, if it does."""
    # An interrupted soak leaves an unfinished round of this number.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = random.Random(f"{reference['seed']}/{number}")
    longest = rng.uniform(*_WAITS) * reference["seconds"]
    stages: list[str] = []
    try:
        for _ in range(min(most, _MOST_KILLS)):
            stage = _run(folder, reference["recipe"], rng.uniform(0, longest))
            if stage is None:
                break
            stages.append(stage)
        else:
            limit = _PATIENCE * reference["seconds"]
            if _run(folder, reference["recipe"], limit):
                return stages, f"{folder}: still running after {limit:.0f} s; see log.txt there"
    except InputError as error:
        return stages, str(error)
    found = _result(folder)
    differing = [key for key, value in reference["result"].items() if found[key] != value]
    return stages, f"{folder}: its end differs in {', '.join(differing)}" if differing else None


def main(argv: list[str]) -> None:
    """Run the command."""
    parser = command_parser("python bench/soak.py", __doc__)
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="number of kills (200)")
    parser.add_argument("--recipe", default="smoke", metavar="NAME", help="the recipe to run (smoke)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the moments (1)")
    parser.add_argument("--out", default="runs/soak", metavar="DIR", help="where the runs go (runs/soak)")
    options = parser.parse_args(argv)
    out = Path(options.out)
    what = {"recipe": options.recipe, "commit": git_commit(), "seed": options.seed}
    reference = _reference(out, what)
    print(f"uninterrupted: {reference['seconds']:.0f} s", flush=True)
    done = read_json_lines(out / "rounds.jsonl", _is_event)
    if any(entry.get("failed") for entry in done):
        raise InputError(f"{out}: an earlier round failed; see rounds.jsonl, and give another --out")
    with append_json_lines(out / "rounds.jsonl") as append:
        while (kills := sum(len(entry["stages"]) for entry in done)) < options.kills:
            number = len(done)
            folder = out / f"round-{number}"
            stages, problem = _round(folder, number, reference, options.kills - kills)
            done.append({"round": number, "stages": stages, **({"failed": problem} if problem else {})})
            append(done[-1])
            if problem:
                raise InputError(problem)
            shutil.rmtree(folder)
            print(f"round {number}: {len(stages)} kills, the same result", flush=True)
    hits = Counter(stage for entry in done for stage in entry["stages"])
    print(f"{kills} kills in {len(done)} rounds: every run ended with the result of the uninterrupted one")
    print(", ".join(f"{stage} {count}" for stage, count in hits.most_common()))


if __name__ == "__main__":
    run_command(main)
