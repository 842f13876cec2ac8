"""The runs of a study: arms x seeds, distributed over worker processes.

A run's folder is named by a hash of its recipe. Studies therefore share equal runs, and a study that is started again
does only the runs that are missing.
"""

from __future__ import annotations

import argparse
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
from typing import Any

import numpy as np
import pandas as pd

from metrics.util.errors import InputError, out_of_space
from metrics.util.files import content_hash
from metrics.util.progress import ProgressBar
from repro.config.recipe import Recipe, load_recipe, to_dict
from repro.pipeline.engine import exclusive_lock
from repro.pipeline.outcome import TrainingOutcome, load_outcome
from repro.pipeline.pipeline import run as run_pipeline
from repro.studies.arms import METRICS, Arm


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        arm: The name of its arm.
        recipe: Its recipe.
        folder: What `repro.run` left.
    """

    arm: str
    recipe: Recipe
    folder: Path

    def outcome(self) -> TrainingOutcome:
        """Return how the training went."""
        return load_outcome(self.folder / "stages" / "training")

    def scores(self, system: str) -> dict[str, np.ndarray[Any, Any]]:
        """Return the test scores of one of the run's systems by metric, each of shape [sentences].

        Raises:
            InputError: The run has no such system.
        """
        frame = pd.read_parquet(self.folder / "scores.parquet")
        own = frame[frame["system"] == system]
        if own.empty:
            raise InputError(f"{self.folder}: no system {system} among {', '.join(frame['system'].unique())}")
        return {name: own[name].to_numpy() for name in METRICS}


def do_runs(arms: Sequence[Arm], options: argparse.Namespace) -> list[Run]:
    """Do the runs of all arms and seeds that are missing.

    Args:
        arms: The arms.
        options: The options of `repro.studies.arms.study_parser`.

    Returns:
        All runs, those of an arm by seed.

    Raises:
        InputError: A run failed; the message names it.
    """
    if options.seeds < 1 or options.workers < 1:
        raise InputError("--seeds and --workers: at least 1")
    out = Path(options.out)
    plan = []
    # The seeds of an arm next to each other, because runs of one seed wait for each other's warm-up.
    for arm in arms:
        for seed in range(1, min(options.seeds, arm.most_seeds or options.seeds) + 1):
            recipe = load_recipe(arm.recipe, [*arm.overrides, *options.set, f"seed={seed}"])
            plan.append(Run(arm.name, recipe, out / "runs" / _recipe_hash(recipe)))
    distinct = {run.folder: run for run in plan}
    workers = min(options.workers, len(distinct))
    # Each worker gets its share of the cores, because threads that compete for a core stall.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # Spawned, because torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent, initargs=(os.getpid(),))
    try:
        tasks = {
            pool.submit(_do_run, run.recipe, options.data_dir, run.folder, out / "shared"): run
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
        raise InputError(f"a worker was killed (out of memory?); see the logs in {out / 'runs'}") from None
    finally:
        workers_left = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        # The workers' stages resume; after a failure they should not run on for hours.
        for process in workers_left:
            process.terminate()
    return plan


def _recipe_hash(recipe: Recipe) -> str:
    values = to_dict(recipe)
    values.pop("name")
    return content_hash(values)[:12]


def _end_with_parent(parent: int) -> None:
    """End this worker when the study's process ends, so that a killed study leaves no worker behind."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _do_run(recipe: Recipe, data_dir: str | None, folder: Path, shared: Path) -> str | None:
    """Do one run in a worker, with its output in a log beside its folder; return the error in one line, or None."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.with_name(f"{folder.name}.log")
    with log.open("a", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        try:
            # Another study may want the same run at the same time.
            with exclusive_lock(folder.with_name(f"{folder.name}.lock")):
                run_pipeline(recipe, data_dir, folder, shared, verbose=True)
        except InputError as error:
            return str(error)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            return out_of_space(error) or f"{type(error).__name__}: {error}"
    return None


def by_arm(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return the runs of each arm by its name, in the order of the study."""
    arms: dict[str, list[Run]] = {}
    for run in runs:
        arms.setdefault(run.arm, []).append(run)
    return arms


def stacked(runs: Sequence[Run], system: str, metric: str = "j") -> np.ndarray[Any, Any]:
    """Return one metric of a system, shape [seeds, sentences]."""
    return np.stack([run.scores(system)[metric] for run in runs])
