"""A leaderboard in a folder; a lock file serialises commits."""

import errno
import fcntl
import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from leaderboard.stores.base import LostRaceError, Snapshot
from metrics.util.errors import InputError, out_of_space
from metrics.util.files import atomic_file, content_hash

# What `atomic_file` names the file beside `x.json`: .x.json.ab12cd34.json
_TEMPORARY = re.compile(r"\.[\w.-]+(\.\w+)\.[a-z0-9_]{8}\1", re.ASCII)
# A folder of such a name stands where a file should.
_FILE_SUFFIXES = (".json", ".parquet", ".yaml", ".md")
# A table takes at most as many bytes unpacked.
_MAX_BYTES = 512_000_000
_FOLDERS = ("data", "tests", "verification")
# Folders with a folder for each system or study.
_DEEP_FOLDERS = ("results", "judgements")


class LocalStore:
    """A leaderboard in `folder`, which the first commit makes if it does not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = str(folder)

    def snapshot(self, *, prefetch: bool = False) -> Snapshot:
        """Return the folder's current state, without hidden files; files are read when they are needed.

        What is no regular file is not read, but named: a link may point anywhere, and a FIFO may never end.
        """
        stats, unread = {}, {}
        for path in self.folder.rglob("*"):
            relative = path.relative_to(self.folder)
            # Hidden files belong to other programs, or to an interrupted commit.
            if any(part.startswith(".") for part in relative.parts):
                continue
            # A file may vanish in between.
            with suppress(FileNotFoundError):
                found = path.lstat()
                if stat.S_ISREG(found.st_mode):
                    stats[relative.as_posix()] = [found.st_size, found.st_mtime_ns]
                elif not stat.S_ISDIR(found.st_mode) or path.suffix in _FILE_SUFFIXES:
                    unread[relative.as_posix()] = _kind(found.st_mode)
        return Snapshot(content_hash(stats), frozenset(stats), self._read, unread=unread)

    def _read(self, path: str) -> bytes:
        try:
            # It may have become a link or a FIFO since the snapshot.
            with os.fdopen(_open(self.folder / path, os.O_RDONLY), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size > _MAX_BYTES:
                    raise InputError(f"{path}: {size:,} bytes; the limit is {_MAX_BYTES:,}")
                return file.read(size)
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
            lock = _open(self.folder / ".lock", os.O_CREAT | os.O_RDWR)
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
            where = f" at {error.filename}" if error.filename else ""
            raise InputError(f"{self.folder}: cannot be written ({error.strerror}{where})") from None

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


def _open(path: Path, flags: int) -> int:
    """Open a regular file; a link, and what may never end or never open (a FIFO, a device), raise OSError.

    A reader of a FIFO waits for a writer, and a writer for a reader, unless O_NONBLOCK is given.
    """
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise OSError(errno.EINVAL, f"{_kind(mode)}, not a file", str(path))
    return handle


def _kind(mode: int) -> str:
    """What lies at a path that is no regular file."""
    kinds = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO"}
    return kinds.get(stat.S_IFMT(mode), "a device or socket")


def _order(path: str) -> tuple[bool, bool, str, bool, str]:
    """Sort rows, each after its sentences, then what names rows, then tables.

    A killed commit thus leaves sentences of one row at most, no name of a row that is not here, and rows that the next
    commit puts into the tables.
    """
    is_row = path.startswith("results/")
    stem = path.rpartition(".")[0] if is_row else ""
    return path.startswith("data/"), not is_row, stem, path.endswith(".json"), path
