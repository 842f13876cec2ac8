"""What the benches share: the times of variants that take turns, processes of their own, and the machine's name."""

import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

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
