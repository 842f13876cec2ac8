"""Numbers on disk by content hash: one SQLite file in the cache folder, which processes can share."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from metrics.util.errors import InputError
from metrics.util.files import require_writable


class NumberCache:
    """Maps a content hash to a row of numbers; creates the file `path` if needed.

    Args:
        kind: What a row holds, in the singular, such as "score": the table is named after it.
        columns: The names of the numbers.

    Raises:
        InputError: `path` cannot be written, or is not a cache of this kind.
    """

    def __init__(self, path: Path, kind: str, columns: Sequence[str]) -> None:
        require_writable(path)
        self._path, self._table, self._columns = path, f"{kind}s", tuple(columns)
        declared = ", ".join(f"{name} REAL NOT NULL" for name in columns)
        try:
            with closing(self._connect()) as database, database:
                database.execute(f"CREATE TABLE IF NOT EXISTS {self._table} (key TEXT PRIMARY KEY, {declared})")
        except sqlite3.DatabaseError as error:
            raise InputError(f"{path}: not a usable {kind} cache ({error}); delete it, it is only a cache") from None

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=60)

    def read(self, keys: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """Return key -> numbers for those of `keys` that the cache contains."""
        columns = ", ".join(self._columns)
        query = f"SELECT key, {columns} FROM {self._table} WHERE key IN (SELECT value FROM json_each(?))"
        with closing(self._connect()) as database:
            return {key: tuple(numbers) for key, *numbers in database.execute(query, [json.dumps(keys)])}

    def write(self, rows: Iterable[tuple[str, Sequence[float]]]) -> None:
        """Store (key, numbers) pairs in one transaction; a key that exists is overwritten."""
        marks = ",".join("?" * (1 + len(self._columns)))
        with closing(self._connect()) as database, database:
            database.executemany(f"INSERT OR REPLACE INTO {self._table} VALUES ({marks})", ((k, *v) for k, v in rows))
