"""Numbers on disk by content hash: one SQLite file in the cache folder, which processes can share."""

import json
import math
import os
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

from metrics.util.errors import one_line
from metrics.util.files import require_writable

T = TypeVar("T")
# This program's own SQL is valid, so SQLITE_ERROR, too, means that the file is not what this program wrote.
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR)
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
# Seconds that other processes may take to write.
_PATIENCE = 60


class _DamagedError(Exception):
    """The database holds something that this program did not write; the message is the reason."""


class NumberCache:
    """Maps a content hash to a row of numbers; creates the file `path` if needed.

    What is damaged, holds anything but what this class writes, or is no file (a link, a folder, a FIFO) is renamed to
    NAME.damaged, and a new file is begun; a line on stderr says so. While another process keeps the file locked, the
    command goes on without it. A cache may be lost, but it must neither stop a command nor change a score.

    Args:
        kind: What a row holds, in the singular, such as "score": the table is named after it.
        columns: The names of the numbers.
        is_valid: Whether a number can be one of the table's.

    Raises:
        InputError: The folder of `path` cannot be written.
    """

    def __init__(
        self, path: Path, kind: str, columns: Sequence[str], is_valid: Callable[[float], bool] = math.isfinite
    ) -> None:
        self._path, self._kind, self._table, self._columns = path, kind, f"{kind}s", tuple(columns)
        declared = ", ".join(f"{name} REAL NOT NULL" for name in columns)
        self._schema = f"{self._table} (key TEXT PRIMARY KEY, {declared})"
        self._is_valid = is_valid
        self._locked = False
        self._require_file()
        require_writable(path)
        self._run(lambda database: None, None)

    def read(self, keys: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """Return key -> numbers for those of `keys` that the cache contains."""
        columns = ", ".join(self._columns)
        query = f"SELECT key, {columns} FROM {self._table} WHERE key IN (SELECT value FROM json_each(?))"

        def select(database: sqlite3.Connection) -> dict[str, tuple[float, ...]]:
            found = {key: tuple(numbers) for key, *numbers in database.execute(query, [json.dumps(keys)])}
            for numbers in found.values():
                # SQLite stores a text that is no number even in a column of numbers.
                if not all(type(number) is float and self._is_valid(number) for number in numbers):
                    raise _DamagedError(f"{numbers!r:.100} in place of a {self._kind}")
            return {key.decode("ascii"): numbers for key, numbers in found.items()}

        return self._run(select, {})

    def write(self, rows: Iterable[tuple[str, Sequence[float]]]) -> None:
        """Store (key, numbers) pairs in one transaction; a key that exists is overwritten."""
        marks = ",".join("?" * (1 + len(self._columns)))
        values = [(key, *numbers) for key, numbers in rows]
        insert = f"INSERT OR REPLACE INTO {self._table} VALUES ({marks})"
        self._run(lambda database: database.executemany(insert, values), None)

    def _run(self, act: Callable[[sqlite3.Connection], T], without: T) -> T:
        """Return `act(database)` in one transaction; after damage once more, on a new database.

        `without` is the result if another process keeps the database locked: from then on this one does not wait.
        """
        try:
            return self._retry(act)
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _LOCKED:
                raise
            if not self._locked:
                self._locked = True
                reason = f"another process keeps the {self._kind} cache locked; going on without it"
                print(f"{self._path}: {reason}", file=sys.stderr)
            return without

    def _retry(self, act: Callable[[sqlite3.Connection], T]) -> T:
        before = self._identity()
        try:
            return self._attempt(act)
        except (sqlite3.DatabaseError, _DamagedError) as error:
            if not self._is_damage(error):
                raise
            # Another process may have replaced the file in the meantime.
            if before is None or self._identity() == before:
                self._set_aside(error)
            return self._attempt(act)

    def _attempt(self, act: Callable[[sqlite3.Connection], T]) -> T:
        with closing(sqlite3.connect(self._path, timeout=0 if self._locked else _PATIENCE)) as database, database:
            # Python would refuse to decode a text that is not UTF-8.
            database.text_factory = bytes
            database.execute(f"CREATE TABLE IF NOT EXISTS {self._schema}")
            query = "SELECT type, sql FROM sqlite_master WHERE tbl_name = ?"
            if set(database.execute(query, [self._table])) != {
                (b"table", f"CREATE TABLE {self._schema}".encode()), (b"index", None),
            }:  # fmt: skip
                raise _DamagedError(f"the table {self._table} has other columns")
            return act(database)

    def _is_damage(self, error: Exception) -> bool:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        # A damaged header can forbid what the file system allows.
        forbids = code == sqlite3.SQLITE_READONLY and os.access(self._path, os.W_OK)
        return isinstance(error, _DamagedError) or code in _DAMAGE or forbids

    def _require_file(self) -> None:
        """Set aside what SQLite would follow to another folder, wait for, or not open."""
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(self._path.lstat().st_mode):
                self._set_aside("no file, but a link, a folder, a FIFO or a device")

    def _identity(self) -> tuple[int, int] | None:
        with suppress(FileNotFoundError):
            found = self._path.stat()
            return found.st_dev, found.st_ino
        return None

    def _set_aside(self, error: object) -> None:
        aside = f"{self._path}.damaged"
        # A folder neither takes a file's place nor gives its own to one.
        while Path(aside).is_dir() or (self._path.is_dir() and os.path.lexists(aside)):
            aside += "~"
        # With its journals: SQLite would apply them to the new database.
        for suffix in ("-journal", "-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                os.replace(f"{self._path}{suffix}", f"{aside}{suffix}")
        reason = f"not a usable {self._kind} cache ({one_line(error)})"
        print(f"{self._path}: {reason}; set aside as {Path(aside).name}, a new one is begun", file=sys.stderr)
