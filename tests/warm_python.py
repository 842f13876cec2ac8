"""`python -m MODULE …` without its imports: each program is a fork of a process that has imported the libraries.

A program runs as a process of its own, with its own arguments, environment, working directory, output and exit code.
What it saves is the start: importing torch, transformers and scikit-learn takes longer than most commands do.
One server per test process starts with the first program; it has one thread and has computed nothing, so that it can
be forked.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = (
    "accelerate", "datasets", "evaluate", "gguf", "matplotlib.pyplot", "pandas", "peft", "pyarrow.parquet",
    "rich.table", "sacrebleu", "scipy.stats", "sklearn.linear_model", "torch", "torch._dynamo", "transformers", "trl",
    "lemminflect",
)  # fmt: skip


def run_module(
    module: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    timeout: float = 600,
    stdout: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `python -m MODULE ARGUMENTS` to its end, with captured output.

    Args:
        env: all environment variables of the program; None: those of this process.
        timeout: in seconds.
        stdout: the descriptor of a terminal to print to, instead of capturing what is printed.

    Raises:
        subprocess.TimeoutExpired: the program took longer; it was killed.
    """
    command = ["-m", module, *arguments]
    return _server().run(command, dict(os.environ if env is None else env), cwd, timeout, stdout)


def run_script(
    script: Path, *arguments: str, env: Mapping[str, str] | None = None, cwd: Path = ROOT, timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """Run `python SCRIPT ARGUMENTS` likewise."""
    return _server().run([str(script), *arguments], dict(os.environ if env is None else env), cwd, timeout)


@functools.cache
def _server() -> _Server:
    return _Server()


class _Server:
    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "tests.warm_python", str(theirs.fileno())]
        self._process = subprocess.Popen(command, cwd=ROOT, env=env, pass_fds=[theirs.fileno()])
        theirs.close()
        self._socket, self._replies = ours, ours.makefile("r")
        atexit.register(self.close)

    def close(self) -> None:
        """End the server."""
        self._replies.close()
        self._socket.close()
        self._process.wait()

    def run(
        self, command: list[str], env: dict[str, str], cwd: Path, timeout: float, stdout: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one program; see `run_module`."""
        with tempfile.TemporaryFile() as request, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            request.write(json.dumps({"command": command, "env": env, "cwd": str(cwd)}).encode())
            request.seek(0)
            outputs = (stdout or out.fileno(), err.fileno())
            socket.send_fds(self._socket, [b"."], [request.fileno(), *outputs])
            self._socket.settimeout(None)
            pid = int(self._replies.readline())
            self._socket.settimeout(timeout)
            try:
                code = self._replies.readline()
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                # A reader that has timed out reads no more.
                self._socket.settimeout(None)
                self._replies = self._socket.makefile("r")
                self._replies.readline()
                raise subprocess.TimeoutExpired(command, timeout) from None
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode())
        return subprocess.CompletedProcess(command, int(code), *texts)


def serve(connection: socket.socket) -> None:
    """Fork for each request until the client closes the connection."""
    for name in LIBRARIES:
        importlib.import_module(name)
    for package in ("metrics", "leaderboard", "repro"):
        for found in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            # Left out: the pages and the tasks of other programs, whose libraries few commands need.
            if not {"space", "inspect_ai", "lm_eval", "engines"} & set(found.name.split(".")):
                importlib.import_module(found.name)
    # What is here stays until the end: no fork need look through it, and so copy it.
    gc.collect()
    gc.freeze()
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, 1, 3)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            connection.close()
            _end(_exit_code(_become, descriptors))
        for descriptor in descriptors:
            os.close(descriptor)
        connection.sendall(f"{pid}\n".encode())
        _, status = os.waitpid(pid, 0)
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _exit_code(program: Callable[[list[int]], None], descriptors: list[int]) -> int:
    """Run the program; return the exit code that the interpreter would end with."""
    try:
        program(descriptors)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _end(code: int) -> NoReturn:
    """End as the interpreter does, less the two seconds in which it takes all modules apart."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _become(descriptors: list[int]) -> None:
    """Run the requested program in this fork."""
    request, out, err = descriptors
    with os.fdopen(request) as file:
        wanted = json.load(file)
    os.dup2(out, 1)
    os.dup2(err, 2)
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(wanted["env"])
    os.chdir(wanted["cwd"])
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1))
    if any(before.get(name) != os.environ.get(name) for name in {*before, *os.environ} if name.startswith("HF_")):
        _read_hub_settings()
    first, *arguments = wanted["command"]
    if first == "-m":
        module, *arguments = arguments
        sys.path[0] = wanted["cwd"]
        sys.argv = [module, *arguments]
        # The program is another copy of its module, as always; runpy warns where it finds the first.
        sys.modules.pop(module, None)
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(first).resolve().parent)
        sys.argv = [first, *arguments]
        runpy.run_path(first, run_name="__main__")


def _read_hub_settings() -> None:
    """Read the variables that the Hub's client and what is built on it read when they are imported."""
    import datasets.config
    import evaluate.config
    import huggingface_hub.constants
    from huggingface_hub import hf_api

    for module in (huggingface_hub.constants, datasets.config, evaluate.config):
        importlib.reload(module)
    hf_api.api.endpoint = huggingface_hub.constants.ENDPOINT


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
