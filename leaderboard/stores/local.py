"""A leaderboard in a folder; a lock file serialises commits."""

import fcntl
import os
import re
from collections.abc import Mapping
from pathlib import Path

from leaderboard.stores.base import LostRaceError, Snapshot
from metrics.util.errors import InputError, out_of_space
from metrics.util.files import atomic_file, content_hash

# What `atomic_file` names the file beside `x.json`: .x.json.ab12cd34.json
_TEMPORARY = re.compile(r"\.[\w.-]+(\.\w+)\.[a-z0-9_]{8}\1", re.ASCII)
_FOLDERS = ("data", "tests", "verification")
# Folders with a folder for each system or study.
_DEEP_FOLDERS = ("results", "judgements")


class LocalStore:
    """A leaderboard in `folder`, which the first commit makes if it does not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = str(folder)

    def snapshot(self, *, prefetch: bool = False) -> Snapshot:
        """Return the folder's current state, without links and hidden files; files are read when they are needed."""
        stats = {}
        for path in self.folder.rglob("*"):
            relative = path.relative_to(self.folder)
            # A link may point anywhere. Hidden files belong to other programs, or to an interrupted commit.
            if not any(part.startswith(".") for part in relative.parts) and path.is_file() and not path.is_symlink():
                stat = path.stat()
                stats[relative.as_posix()] = [stat.st_size, stat.st_mtime_ns]
        return Snapshot(content_hash(stats), frozenset(stats), self._read)

    def _read(self, path: str) -> bytes:
        try:
            return (self.folder / path).read_bytes()
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None

    def commit(self, changes: Mapping[str, bytes], parent: str, message: str) -> str:
        """Write `changes` and return the new revision.

        Raises:
            LostRaceError: The folder has changed since revision `parent`.
            InputError: The folder cannot be written, or is a symbolic link.
        """
        if self.folder.is_symlink():
            target = self.folder.resolve()
            raise InputError(f"{self.folder}: a symbolic link, through which no leaderboard is written; give {target}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # O_NOFOLLOW: the lock must not be a link to another file.
            lock = os.open(self.folder / ".lock", os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o644)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if self.snapshot().revision != parent:
                    raise LostRaceError(parent)
                self._remove_leftovers()
                for path in sorted(changes, key=_order):
                    self._write(path, changes[path])
                return self.snapshot().revision
            finally:
                os.close(lock)
        except OSError as error:
            if out_of_space(error):
                raise
            raise InputError(f"{self.folder}: cannot be written ({error.strerror})") from None

    def _remove_leftovers(self) -> None:
        """Delete what killed publishers left before a rename; who holds the lock knows that none of them still runs."""
        folders = [self.folder, *(self.folder / name for name in _FOLDERS)]
        for deep in (self.folder / name for name in _DEEP_FOLDERS):
            folders += [] if deep.is_symlink() else [deep, *deep.glob("*")]
        for folder in folders:
            for path in folder.iterdir() if folder.is_dir() and not folder.is_symlink() else ():
                if _TEMPORARY.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                    path.unlink()

    def _write(self, path: str, data: bytes) -> None:
        target = self.folder / path
        if any((self.folder / parent).is_symlink() for parent in Path(path).parents):
            raise InputError(f"{target.parent}: a link; a leaderboard is written in its own folder only")
        with atomic_file(target) as temporary:
            temporary.write_bytes(data)


def _order(path: str) -> tuple[bool, bool, str]:
    """Sort sentences, then rows, then tables: the next publisher completes an interrupted commit from its rows."""
    return path.startswith("data/"), path.endswith(".json"), path
