"""The runs of a study: arms x seeds, distributed over worker processes.

A run's folder is named by a hash of its recipe. Studies therefore share equal runs, and a study that is started again
does only the runs that are missing.
"""

import argparse
import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metrics.scoring.statistics import seeds_interval
from metrics.util.errors import InputError, out_of_space
from metrics.util.files import content_hash
from metrics.util.progress import ProgressBar
from repro.config.recipe import Recipe, load_recipe
from repro.pipeline.engine import exclusive_lock
from repro.pipeline.pipeline import run as run_pipeline
from repro.pipeline.training import TrainingOutcome, load_outcome
from repro.studies.arms import TABLE_METRICS, Arm

# The scores of one system in all runs of an arm: metric -> [seeds, sentences].
Scores = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Run:
    """A run of the arm called `arm`, which `repro.run` left in `folder`."""

    arm: str
    recipe: Recipe
    folder: Path

    @cached_property
    def outcome(self) -> TrainingOutcome:
        """How the training went."""
        return load_outcome(self.folder / "stages" / "training")


def do_runs(arms: Sequence[Arm], options: argparse.Namespace) -> dict[str, list[Run]]:
    """Do the runs of all arms and seeds that are missing, and return those of each arm by its name, in order of seeds.

    Args:
        arms: What to run.
        options: The options of `repro.studies.arms.study_parser`.

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
            content = content_hash(recipe.model_dump(exclude={"name"}))
            plan.append(Run(arm.name, recipe, out / "runs" / content[:12]))
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
        arguments = options.data_dir, out / "shared"
        tasks = {pool.submit(_do_run, run.recipe, run.folder, *arguments): run for run in distinct.values()}
        with ProgressBar("runs", len(tasks), unit="runs") as bar:
            pending = set(tasks)
            while pending:
                done, pending = wait(pending, timeout=1, return_when=FIRST_EXCEPTION)
                for task in done:
                    if problem := task.result():
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
    return {arm.name: [run for run in plan if run.arm == arm.name] for arm in arms}


def _end_with_parent(parent: int) -> None:
    """End this worker when the study's process ends, so that a killed study leaves no worker behind."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _do_run(recipe: Recipe, folder: Path, data_dir: str | None, shared: Path) -> str | None:
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


def stack_scores(runs: Sequence[Run], system: str) -> Scores:
    """Return the sentence scores of one system in every run.

    Raises:
        InputError: A run has no such system.
    """
    frames = []
    for run in runs:
        frame = pd.read_parquet(run.folder / "scores.parquet")
        frames.append(frame[frame["system"] == system])
        if frames[-1].empty:
            raise InputError(f"{run.folder}: no system {system} among {', '.join(frame['system'].unique())}")
    return {name: np.stack([frame[name].to_numpy() for frame in frames]) for name in TABLE_METRICS}


def score_cells(scores: Scores) -> list[str]:
    """Return table cells: the mean of J with its interval over seeds and sentences, and the means of its factors."""
    j, *factors = (scores[metric] for metric in TABLE_METRICS)
    return [str(seeds_interval(j)), *(f"{values.mean():.3f}" for values in factors)]
