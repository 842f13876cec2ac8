"""What the benches share: the times of variants that take turns, processes of their own, and the machine's name."""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from soak import die_with_parent

from metrics.util.errors import InputError


def machine() -> str:
    """Return the number of threads, the processor, the GPU if there is one, and the version of torch."""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{torch.get_num_threads()} threads, {platform.machine()}{gpu}, torch {torch.__version__}"


def synchronize() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def median_seconds(variants: Mapping[Any, Callable[[], Any]], repeats: int) -> dict[Any, float]:
    """Return the median seconds of each variant. The variants take turns; the first round only warms them up."""
    seconds: dict[Any, list[float]] = {name: [] for name in variants}
    for repeat in range(repeats + 1):
        for name, run in variants.items():
            synchronize()
            start = time.perf_counter()
            run()
            synchronize()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def run_process(name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """Run a command and return what it prints; if it fails, raise `InputError` with the last line of its errors."""
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"ended with exit code {done.returncode}"])[-1]
        raise InputError(f"{name}: {last}")
    return done.stdout


def measure_module(command: Sequence[str], env: Mapping[str, str], log: Path) -> tuple[float, float, float]:
    """Run `python -m` with `command`; return its wall-clock seconds, the processor's, and its peak memory (MiB).

    What it prints goes to `log`.

    Raises:
        InputError: It failed; the message has the last line that it printed.
    """
    start = time.perf_counter()
    with log.open("wb") as out:
        run = [sys.executable, "-m", *command]
        process = subprocess.Popen(run, env=env, stdout=out, stderr=out, preexec_fn=die_with_parent)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        last = log.read_text("utf-8", "replace").strip().splitlines()[-1:]
        raise InputError(f"{command[0]}: exit code {process.returncode}: {''.join(last)}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
