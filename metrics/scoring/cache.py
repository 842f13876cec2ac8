"""Cache of scores by content: one SQLite file in the cache folder, which processes can share."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from metrics.scoring import COLUMNS
from metrics.util.errors import InputError
from metrics.util.files import require_writable


class ScoreCache:
    """Maps a content hash to the scores of one sentence, in the order of `COLUMNS`; creates the file `path` if needed.

    Raises:
        InputError: `path` cannot be written, or is not a cache of scores.
    """

    def __init__(self, path: Path) -> None:
        require_writable(path)
        self._path = path
        columns = ", ".join(f"{name} REAL NOT NULL" for name in COLUMNS)
        try:
            with closing(self._connect()) as database, database:
                database.execute(f"CREATE TABLE IF NOT EXISTS scores (key TEXT PRIMARY KEY, {columns})")
        except sqlite3.DatabaseError as error:
            raise InputError(f"{path}: not a usable score cache ({error}); delete it, it is only a cache") from None

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=60)

    def read(self, keys: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """Return key -> scores for those of `keys` that the cache contains."""
        query = f"SELECT key, {', '.join(COLUMNS)} FROM scores WHERE key IN (SELECT value FROM json_each(?))"
        with closing(self._connect()) as database:
            return {key: tuple(scores) for key, *scores in database.execute(query, [json.dumps(keys)])}

    def write(self, rows: Iterable[tuple[str, Sequence[float]]]) -> None:
        """Store (key, scores) pairs in one transaction; a key that exists is overwritten."""
        marks = ",".join("?" * (1 + len(COLUMNS)))
        with closing(self._connect()) as database, database:
            database.executemany(f"INSERT OR REPLACE INTO scores VALUES ({marks})", ((k, *v) for k, v in rows))
