"""Scores that were computed before, by content: one SQLite file in the cache folder, safe to kill and to share."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from metrics.util.errors import InputError
from metrics.util.files import require_writable

# In the order of the measures' columns.
COLUMNS = ("sta", "soft_sta", "sim", "fl", "soft_fl")
_READ = 500  # SQLite's limit on variables in one statement is 999 in old builds


class ScoreCache:
    """Maps a key (a content hash) to five scores; what a killed run has committed is there for the next."""

    def __init__(self, path: Path) -> None:
        require_writable(path)
        self._path = path
        try:
            with closing(self._connect()) as database, database:
                columns = ", ".join(f"{name} REAL NOT NULL" for name in COLUMNS)
                database.execute(f"CREATE TABLE IF NOT EXISTS scores (key TEXT PRIMARY KEY, {columns})")
        except sqlite3.DatabaseError as error:
            raise InputError(f"{path}: not a usable score cache ({error}); delete it, it is only a cache") from None

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=60)

    def read(self, keys: Sequence[str]) -> dict[str, tuple[float, ...]]:
        found = {}
        with closing(self._connect()) as database:
            for start in range(0, len(keys), _READ):
                part = keys[start : start + _READ]
                marks = ",".join("?" * len(part))
                rows = database.execute(f"SELECT key, {', '.join(COLUMNS)} FROM scores WHERE key IN ({marks})", part)
                found.update({row[0]: tuple(row[1:]) for row in rows})
        return found

    def write(self, rows: Iterable[tuple[str, Sequence[float]]]) -> None:
        marks = ",".join("?" * (1 + len(COLUMNS)))
        with closing(self._connect()) as database, database:
            database.executemany(f"INSERT OR REPLACE INTO scores VALUES ({marks})", [(k, *v) for k, v in rows])
