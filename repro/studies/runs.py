"""The runs of a study: planned as arms and seeds, done by several processes, kept by what made them.

A run's folder is named by its recipe's content, so that studies that want the same run share it, and a study that was
killed, or that grows an arm, does only what is missing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metrics.util.console import command_parser
from metrics.util.errors import InputError, out_of_space
from metrics.util.files import content_hash
from metrics.util.progress import ProgressBar
from repro.config.recipe import Recipe, load_recipe, to_dict
from repro.pipeline.stages import alone

if TYPE_CHECKING:
    from repro.training.development import DevelopmentScores

METRICS = ("j", "sta", "sim", "fl")


@dataclass(frozen=True)
class Arm:
    """One setting of a study: what its table calls it, a recipe, overrides (KEY=VALUE), and at most how many seeds."""

    name: str
    recipe: str
    overrides: tuple[str, ...] = ()
    most_seeds: int | None = None


@dataclass(frozen=True)
class Run:
    """A finished run: its arm's name, its recipe, and the folder that `repro.run` left."""

    arm: str
    recipe: Recipe
    folder: Path

    def outcome(self) -> dict[str, Any]:
        """How the training went (`repro.training.trainer.LeaderTrainer.outcome`, and "texts")."""
        value: dict[str, Any] = json.loads((self.folder / "stages" / "training" / "outcome.json").read_text("utf-8"))
        return value

    def history(self) -> list[DevelopmentScores]:
        from repro.training.development import DevelopmentScores

        return [DevelopmentScores(**entry) for entry in self.outcome()["history"]]

    def scores(self, system: str) -> dict[str, np.ndarray[Any, Any]]:
        """The test scores [sentences] of one of the run's systems, by metric. Errors: a system it does not have."""
        import pandas as pd

        frame = pd.read_parquet(self.folder / "scores.parquet")
        own = frame[frame["system"] == system]
        if own.empty:
            raise InputError(f"{self.folder}: no system {system} among {', '.join(frame['system'].unique())}")
        return {name: own[name].to_numpy() for name in METRICS}


def study_parser(name: str, description: str | None, seeds: int = 3) -> argparse.ArgumentParser:
    """The options that all studies have."""
    p = command_parser(f"python -m repro.studies.{name}", description)
    p.add_argument(
        "--seeds", type=int, default=seeds, metavar="N", help=f"runs per arm, seeds 1 to N (default {seeds})"
    )
    p.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="runs at a time (default: cores)"
    )
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key of every recipe")
    p.add_argument("--data-dir", metavar="DIR", help="folder with the corpora (default: SRO_DATA_DIR)")
    p.add_argument("--out", metavar="DIR", default="runs/studies", help="where runs and results go (runs/studies)")
    return p


def do_runs(arms: Sequence[Arm], options: argparse.Namespace) -> list[Run]:
    """All runs of `arms` x seeds, those that are missing done now. Errors: the first run that fails, by name."""
    if options.seeds < 1 or options.workers < 1:
        raise InputError("--seeds and --workers: at least 1")
    out = Path(options.out)
    plan = []
    # The seeds of an arm side by side: runs of one seed would wait for each other's warm-up.
    for arm in arms:
        for seed in range(1, min(options.seeds, arm.most_seeds or options.seeds) + 1):
            recipe = load_recipe(arm.recipe, [*arm.overrides, *options.set, f"seed={seed}"])
            plan.append(Run(arm.name, recipe, out / "runs" / _key(recipe)))
    distinct = {run.folder: run for run in plan}
    workers = min(options.workers, len(distinct))
    # Threads of one process that compete with another's stall: the cores are dealt out.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # "spawn": torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent, initargs=(os.getpid(),))
    try:
        tasks = {
            pool.submit(_run, run.recipe, options.data_dir, run.folder, out / "shared"): run
            for run in distinct.values()
        }
        with ProgressBar("runs", len(tasks), unit="runs") as bar:
            pending = set(tasks)
            while pending:
                done, pending = wait(pending, timeout=1, return_when=FIRST_EXCEPTION)
                for task in done:
                    problem = task.result()
                    if problem:
                        run = tasks[task]
                        raise InputError(f"run {run.arm}, seed {run.recipe.seed}: {problem} (log: {run.folder}.log)")
                    bar.update()
    except BrokenProcessPool:
        raise InputError(f"a run's process was ended from outside (memory?); see the logs in {out / 'runs'}") from None
    finally:
        workers_left = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        # What they have done is kept; a study that failed must not go on for hours.
        for process in workers_left:
            process.terminate()
    return plan


def _key(recipe: Recipe) -> str:
    values = to_dict(recipe)
    values.pop("name")
    return content_hash(values)[:12]


def _end_with_parent(parent: int) -> None:
    """In a worker: a study that is killed must not leave workers that go on writing."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run(recipe: Recipe, data_dir: str | None, folder: Path, shared: Path) -> str | None:
    """One run in a worker, its output in a log beside its folder; returns what went wrong in one line, or None."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.with_name(f"{folder.name}.log")
    with log.open("a", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        from repro.pipeline.pipeline import run

        try:
            # Another study may want the same run at the same time.
            with alone(folder.with_name(f"{folder.name}.lock")):
                run(recipe, data_dir, folder, shared)
        except InputError as error:
            return str(error)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            return out_of_space(error) or f"{type(error).__name__}: {error}"
    return None


def table_of(rows: Sequence[Sequence[Any]], header: Sequence[str]) -> str:
    """A Markdown table, the first column to the left and the others to the right."""
    lines = [f"| {' | '.join(header)} |", f"|---|{'--:|' * (len(header) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def by_arm(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The runs of each arm, by seed; arms in the order of the study."""
    arms: dict[str, list[Run]] = {}
    for run in runs:
        arms.setdefault(run.arm, []).append(run)
    return arms


def stacked(runs: Sequence[Run], system: str, metric: str = "j") -> np.ndarray[Any, Any]:
    """[seeds, sentences] of one metric."""
    return np.stack([run.scores(system)[metric] for run in runs])
