"""Stages: each is done once for the same inputs, may be killed at any moment, and says how long it took.

The runs of a study have stages in common: with a folder to share, the first run leaves them there for the others.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metrics.util.files import atomic_folder, content_hash, link_files, remove_folder, sha256_file, write_json
from repro.distributed import broadcast_from_main, is_main_process, wait_for_everyone

MARK = "stage.json"
NAMES = ("corpora", "screener", "warm-up", "training", "choice", "rewriting", "scoring", "rows", "report")
SHARED = ("screener", "warm-up", "training", "choice")
# What several processes do together (repro/distributed.py).
TOGETHER = ("warm-up", "training")
_PACKAGE = Path(__file__).resolve().parents[2]


def code_hash() -> str:
    """A hash over the program itself: outputs of another program are not reused."""
    files = [
        p
        for room in ("metrics", "leaderboard", "repro")
        for pattern in ("*.py", "*.json", "*.yaml", "lexicon.txt")
        for p in sorted((_PACKAGE / room).rglob(pattern))
        # A recipe's values are inputs of the stages that read them; studies read what stages left.
        if not {"recipes", "example", "studies"} & set(p.relative_to(_PACKAGE).parts)
    ]
    return content_hash([[p.relative_to(_PACKAGE).as_posix(), sha256_file(p)] for p in files])


class Stages:
    """The stages of one run, in `out/stages/NAME`, and its log `out/log.jsonl`.

    A stage builds in a hidden working folder that keeps what a killed run had done, and is renamed when complete.
    """

    def __init__(self, out: Path, shared: Path | None = None) -> None:
        self.out = out
        self._shared = shared
        self._code = code_hash()
        self.keys: dict[str, str] = {}

    def log(self, stage: str, event: dict[str, Any]) -> None:
        if not is_main_process():
            return
        self.out.mkdir(parents=True, exist_ok=True)
        with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": round(time.time(), 3), "stage": stage, **event}) + "\n")

    def do(self, name: str, inputs: Any, build: Callable[[Path], None], after: Sequence[str] = ()) -> Path:
        """Runs `build(folder)` unless it was done for the same `inputs`; returns the finished folder.

        inputs: a JSON value with all that this stage reads from outside. after: the stages whose outputs it reads; what
        they were made from, and the program itself, count as inputs too.
        """
        key = content_hash([name, inputs, self._code, [self.keys[stage] for stage in after]])
        self.keys[name] = key
        final = self.out / "stages" / name
        work = self.out / "stages" / f".{name}-{key[:16]}"
        if is_main_process():
            self._find(name, key, final, work, build)
        elif name in TOGETHER and self._builds(name, False):
            build(work)
        wait_for_everyone()
        return final

    def _find(self, name: str, key: str, final: Path, work: Path, build: Callable[[Path], None]) -> None:
        number = f"[{NAMES.index(name) + 1}/{len(NAMES)}] {name}"
        if _mark(final) == key:
            self._builds(name, False)
            print(f"{number}: done before", file=sys.stderr, flush=True)
        elif self._shared is None or name not in SHARED:
            self._build(name, number, key, final, work, build)
        else:
            with alone(self._shared / f"{name}-{key[:16]}.lock"):
                common = self._shared / f"{name}-{key[:16]}"
                if _mark(common) != key:
                    self._build(name, number, key, final, work, build)
                    _link(final, common)
                else:
                    self._builds(name, False)
                    print(f"{number}: done by another run", file=sys.stderr, flush=True)
                    _link(common, final)

    @staticmethod
    def _builds(name: str, builds: bool) -> bool:
        """Whether the first process builds this stage: what it knows, and the others learn where they are needed."""
        return broadcast_from_main(lambda: builds) if name in TOGETHER else builds

    def _build(self, name: str, number: str, key: str, final: Path, work: Path, build: Callable[[Path], None]) -> None:
        print(f"{number}", file=sys.stderr, flush=True)
        self.log(name, {"event": "start"})
        started = time.time()
        for stale in (self.out / "stages").glob(f".{name}-*"):
            if stale != work:
                remove_folder(stale)
        work.mkdir(parents=True, exist_ok=True)
        self._builds(name, True)
        build(work)
        write_json(work / MARK, {"key": key, "seconds": round(time.time() - started, 1)})
        remove_folder(final)
        os.replace(work, final)
        self.log(name, {"event": "end", "seconds": round(time.time() - started, 1)})


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Waits until no other process is within the same file's block; a killed process lets go of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _link(source: Path, target: Path) -> None:
    """`target` with the files of `source`, which are not copied where the file system allows it."""
    with atomic_folder(target) as folder:
        link_files(source, folder)


def _mark(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / MARK).read_text("utf-8"))["key"])
    except (FileNotFoundError, ValueError, KeyError):
        return None
