"""The stage engine: it builds each stage once for the same declared inputs, and resumes after a kill at any moment.

A stage declares the recipe fields, inputs and earlier stages that it reads. Its cache key is computed from these
and from the hash of the program, and it is given nothing else. Runs of a study share stages with equal keys.
"""

import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from metrics.util.errors import InputError
from metrics.util.files import content_hash, link_folder, remove_folder, remove_temporaries, sha256_file, write_json
from metrics.util.progress import ProgressBar
from repro.config.inputs import Inputs, identity
from repro.config.recipe import Recipe
from repro.config.section import Section
from repro.distributed import broadcast_from_main, is_main_process, is_sharded, num_processes, wait_for_everyone

# The file that marks a stage's folder as complete.
MARK = "stage.json"
_ROOT = Path(__file__).resolve().parents[2]

C = TypeVar("C", bound=Section)


@dataclass(frozen=True)
class StageRun(Generic[C]):
    """The recipe fields and inputs that a stage declares, and where it reads and writes.

    Attributes:
        folders: The folders of the stages that it follows, by name.
        keys: The cache keys of these stages, and its own.
        work: The stage's folder. After a kill it still holds what was written.
        out: The folder of the run.
    """

    config: C
    inputs: Inputs
    folders: Mapping[str, Path]
    keys: Mapping[str, str]
    work: Path
    out: Path
    log: Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Stage(Generic[C]):
    """A step of a run, and what it reads: recipe fields, attributes of `Inputs`, and the folders of earlier stages.

    Attributes:
        build: Fills the folder `work`; a killed build is started again with the same folder.
        follows: The earlier stages; those that the run does not have are left out.
        shared: Whether the runs of a study share its folder.
        distributed: Whether all processes build it together; the main process alone builds the others.
    """

    name: str
    build: Callable[[StageRun[C]], None]
    config: type[C]
    inputs: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    shared: bool = False
    distributed: bool = False


class Engine:
    """Runs the stages of one run, in `out/stages/NAME`, and writes its log `out/log.jsonl`.

    A stage builds in a hidden folder, which is renamed when the stage is complete. `shared` is the folder of the stages
    that the runs of a study share; None for a run on its own.
    """

    def __init__(self, recipe: Recipe, inputs: Inputs, out: Path, shared: Path | None = None) -> None:
        self._recipe, self._inputs, self._out, self._shared = recipe, inputs, out, shared
        self._code = _code_hash()
        self._keys: dict[str, str] = {}
        self._current = ""

    def run(self, stages: Sequence[Stage[Any]]) -> None:
        """Build the stages that are not complete yet, in their order.

        Raises:
            InputError: Another run works in the same folder.
        """
        with _only_run(self._out):
            # The main process alone: when the others arrive, it may already work on new temporary files.
            broadcast_from_main(lambda: remove_temporaries(self._out))
            for number, stage in enumerate(stages, 1):
                self._run_stage(stage, f"[{number}/{len(stages)}] {stage.name}")

    def log(self, event: Mapping[str, Any]) -> None:
        """Append an event of the current stage to the log; only the main process writes."""
        if is_main_process():
            self._out.mkdir(parents=True, exist_ok=True)
            with (self._out / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps({"time": round(time.time(), 3), "stage": self._current, **event}) + "\n")

    def _run_stage(self, stage: Stage[Any], title: str) -> None:
        self._current = stage.name
        config = self._recipe.narrow(stage.config)
        follows = [name for name in stage.follows if name in self._keys]
        keys = {name: self._keys[name] for name in follows}
        inputs = {name: identity(getattr(self._inputs, name)) for name in stage.inputs}
        processes = [num_processes(), is_sharded()] if stage.distributed else []
        key = content_hash([stage.name, config.model_dump(), inputs, processes, keys, self._code])
        keys[stage.name] = self._keys[stage.name] = key
        folder = self._out / "stages"
        folders = {name: folder / name for name in follows}
        work = folder / f".{stage.name}-{key[:16]}"
        run = StageRun(config, self._inputs.only(stage.inputs), folders, keys, work, self._out, self.log)
        if is_main_process():
            self._find_or_build(stage, run, folder / stage.name, title)
        elif stage.distributed and broadcast_from_main(lambda: False):
            stage.build(run)
        wait_for_everyone()

    def _find_or_build(self, stage: Stage[Any], run: StageRun[Any], final: Path, title: str) -> None:
        key = run.keys[stage.name]
        common = self._shared / f"{stage.name}-{key[:16]}" if self._shared and stage.shared else None
        done = "done before" if _complete_key(final) == key else ""
        with nullcontext() if done or not common else exclusive_lock(common.with_name(f"{common.name}.lock")):
            if not done and common and _complete_key(common) == key:
                done = "done by another run"
                link_folder(common, final)
            if stage.distributed:
                # The other processes wait to hear whether they build along.
                broadcast_from_main(lambda: not done)
            if done:
                print(f"{title}: {done}", file=sys.stderr, flush=True)
                return
            _build(stage, run, final, title)
            if common:
                link_folder(final, common)


def _build(stage: Stage[Any], run: StageRun[Any], final: Path, title: str) -> None:
    run.log({"event": "start"})
    started = time.time()
    for stale in final.parent.glob(f".{stage.name}-*"):
        if stale != run.work:
            remove_folder(stale)
    run.work.mkdir(parents=True, exist_ok=True)
    with ProgressBar(title, None, always=True):
        stage.build(run)
    seconds = round(time.time() - started, 1)
    write_json(run.work / MARK, {"key": run.keys[stage.name], "seconds": seconds})
    remove_folder(final)
    os.replace(run.work, final)
    run.log({"event": "end", "seconds": seconds})


def _code_hash() -> str:
    """A hash over the program itself: outputs of another version are not reused."""
    files = [
        path
        for package in ("metrics", "leaderboard", "repro")
        for pattern in ("*.py", "*.json", "*.yaml", "lexicon.txt")
        for path in sorted((_ROOT / package).rglob(pattern))
        # A recipe's values are declared by the stages that read them; studies only read finished runs.
        if not {"recipes", "example", "studies"} & set(path.relative_to(_ROOT).parts)
    ]
    return content_hash([[path.relative_to(_ROOT).as_posix(), sha256_file(path)] for path in files])


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file; the lock of a killed process is released."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _only_run(out: Path) -> Iterator[None]:
    """Keep other runs out of a folder; the lock of a killed process is released."""
    if not is_main_process():
        yield
        return
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{out}: another run works in this folder; wait for it, or choose another --out") from None
        yield


def _complete_key(folder: Path) -> str | None:
    """The key of a complete stage; None if the folder is missing or incomplete."""
    try:
        return str(json.loads((folder / MARK).read_text("utf-8"))["key"])
    except (FileNotFoundError, ValueError, KeyError):
        return None
