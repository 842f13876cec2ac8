"""The programs of bench/, run as people run them."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from unittest import mock

from tests.warm_python import run_script

ROOT = Path(__file__).resolve().parent.parent


def run_bench(name: str, *arguments: str) -> str:
    """What `python bench/NAME.py` prints; it must end well."""
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    done = run_script(ROOT / "bench" / f"{name}.py", *arguments, env=env, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def bench_module(name: str) -> ModuleType:
    """bench/NAME.py as a module, which imports its neighbours as it does where it is run."""
    specification = importlib.util.spec_from_file_location(f"bench_{name}", ROOT / "bench" / f"{name}.py")
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    with mock.patch.object(sys, "path", [str(ROOT / "bench"), *sys.path]):
        specification.loader.exec_module(module)
    return module
