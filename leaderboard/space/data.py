"""What the page shows: the table `latest`, read once, in groups whose rows can be compared."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from pyarrow import parquet

from leaderboard.board.board import Board
from leaderboard.board.tables import TABLES, derive
from leaderboard.rows.formats import read_parquet
from leaderboard.rows.row import RESULTS
from leaderboard.rows.sentences import Sentences
from leaderboard.space.shown import MAX_CELL, MAX_NAME, visible
from leaderboard.stores import open_store
from leaderboard.stores.base import ForbiddenError
from metrics.scoring.signature import Signature
from metrics.util.errors import InputError
from metrics.util.files import content_hash

Record = Mapping[str, Any]
LATEST = TABLES["latest"]
# How many systems' sentences stay in memory.
KEPT = 32
_ROW_PATH = re.compile(rf"^{RESULTS}/[\w.-]+/[0-9a-f]+\.json$", re.ASCII)


class Files(Protocol):
    """One state of a leaderboard (`leaderboard.stores.base.Snapshot`)."""

    @property
    def revision(self) -> str: ...

    @property
    def files(self) -> frozenset[str]: ...

    def read(self, path: str) -> bytes: ...


@dataclass(frozen=True)
class Group:
    """Rows that can be compared, best first as the table has them. label: for people, different for every group."""

    key: str
    label: str
    records: tuple[Record, ...]

    @cached_property
    def haystacks(self) -> tuple[str, ...]:
        """Per record the text that the search looks in."""
        return tuple(_haystack(record) for record in self.records)

    @cached_property
    def reference(self) -> Record | None:
        """The row of the human rewrites, whose outputs are shown beside those of others."""
        humans = (record for record in self.records if record["kind"] == "human" and record["system"] == "reference")
        return next(humans, None)


class Leaderboard:
    """The rows of one snapshot. Nothing but `sentences` reads from it after this was made.

    records: by key, a number that is given here, since what a table calls a row id could occur twice.
    """

    def __init__(self, snapshot: Files, repo: str | None = None) -> None:
        """repo: the data set that the snapshot is of, None for a folder. Errors: damaged tables, or rows without."""
        self.snapshot = snapshot
        self.repo = repo
        self.table = _read_latest(snapshot)
        rows = enumerate(self.table.to_pylist())
        self.records: dict[str, Record] = {str(i): {**_known(row), "key": str(i)} for i, row in rows}
        self.published = tuple(r for r in self.records.values() if r["record"] == "published")
        self.groups = _groups([r for r in self.records.values() if r["record"] != "published"])
        self.sentences = lru_cache(KEPT)(self._sentences)

    def group_of(self, key: str) -> Group | None:
        """The group of a record. None: no such record, or a published figure."""
        record = self.records.get(key)
        if record is None:
            return None
        return self.groups.get(_group_key(record)) if record["record"] != "published" else None

    def _sentences(self, key: str) -> Sentences:
        """The stored sentences of a record. Errors: none, or others than those of the row."""
        record = self.records[key]
        path = str(record["path"]).removesuffix(".json") + ".parquet"
        if not _ROW_PATH.match(str(record["path"])) or path not in self.snapshot.files:
            raise InputError("no sentences are stored for this row")
        sentences = Sentences.from_parquet(_read(self.snapshot, path), path)
        if len(sentences.source) != record["n"]:
            raise InputError(f"{path}: {len(sentences.source)} sentences, the row says {record['n']}")
        return sentences


def open_board(*, repo: str | None = None, local: str | Path | None = None) -> Leaderboard:
    """The leaderboard in a data set or in a folder. Errors: no such place, a folder without one, a Hub out of reach."""
    store = open_store(repo=repo, local=local)
    try:
        snapshot = store.snapshot()
    except ForbiddenError as error:
        raise InputError(f"{store.name}: may not be read ({_line(error)}); it needs HF_TOKEN") from None
    # A new data set is an empty leaderboard; a folder without tables is some other folder.
    if local is not None and not snapshot.files & set(TABLES.values()):
        raise InputError(f"{local}: no leaderboard in this folder ({LATEST} is missing)")
    return Leaderboard(snapshot, repo)


def _read_latest(snapshot: Files) -> pa.Table:
    # The schema of an empty leaderboard: what every column must be, whoever wrote the file.
    schema = parquet.read_schema(BytesIO(derive(Board())[LATEST]))
    if LATEST not in snapshot.files:
        if any(path.startswith(f"{RESULTS}/") for path in snapshot.files):
            raise InputError(f"{LATEST}: missing; run python -m leaderboard.rebuild")
        return schema.empty_table()
    data = _read(snapshot, LATEST)
    try:
        table = read_parquet(data, LATEST).select(schema.names).cast(schema)
        # Ranks may be unknown; what rows are told apart by may not.
        names = ("system", "kind", "comparable", "record", "path")
        empty = [name for name in names if table[name].null_count]
    except (InputError, pa.ArrowException, KeyError, ValueError) as error:
        raise InputError(f"{LATEST}: damaged ({_line(error)}); run python -m leaderboard.rebuild") from None
    if empty:
        raise InputError(f"{LATEST}: damaged (no {empty[0]} in a row); run python -m leaderboard.rebuild")
    return table


def _read(snapshot: Files, path: str) -> bytes:
    """A file of the snapshot. Errors: whatever keeps the Hub from giving it."""
    try:
        return snapshot.read(path)
    except ForbiddenError as error:
        raise InputError(f"{path}: the Hub did not give it ({_line(error)}); try again later") from None


def _line(error: Exception) -> str:
    return visible(" ".join(str(error).split()), 100)


def _known(row: dict[str, Any]) -> dict[str, Any]:
    """A row with None for what is no number."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()
    }


# -- groups -----------------------------------------------------------------------------------------------------------
def _group_key(record: Record) -> str:
    return content_hash(record["comparable"])[:12]


def _groups(records: list[Record]) -> dict[str, Group]:
    """By key, in the order of the table: the groups with most sentences come first."""
    parts: dict[str, list[Record]] = {}
    for record in records:
        parts.setdefault(_group_key(record), []).append(record)
    labels = {key: _label(rows[0]) for key, rows in parts.items()}
    for label in {label for label in labels.values() if list(labels.values()).count(label) > 1}:
        same = [key for key, other in labels.items() if other == label]
        for key, difference in zip(same, _differences([parts[key][0] for key in same]), strict=True):
            labels[key] = f"{label}; {difference}"
    return {key: Group(key, labels[key], tuple(rows)) for key, rows in parts.items()}


def _label(record: Record) -> str:
    """A test set and a profile in words: "paradetox-test (first 400 of 2,000), offline.v2"."""
    n, of = record["n"] or 0, record["test_set_size"] or 0
    sentences = f"first {n:,} of {of:,}" if n < of else f"{n:,} sentences"
    name, profile = (visible(str(record[part] or "unnamed"), MAX_NAME) for part in ("test_set", "profile"))
    return f"{name} ({sentences}), {profile}"


def _differences(records: list[Record]) -> list[str]:
    """Per record what its signature has of its own, each field in at most eight digits."""
    try:
        fields = [dict(Signature.parse(str(record["signature"])).measure) for record in records]
    except InputError:
        return [f"signature {_group_key(record)}" for record in records]
    apart = [name for name in fields[0] if len({field[name] for field in fields}) > 1]
    return [
        visible(", ".join(f"{name} {f[name] if len(f[name]) <= 16 else content_hash(f[name])[:8]}" for name in apart))
        for f in fields
    ]


def _haystack(record: Record) -> str:
    names = ("system", "base", "licence", "note", "submitter", "revision", "run_id")
    parts = [str(record[name] or "") for name in names] + [str(item) for item in record["training_data"] or ()]
    return "\n".join(part[:MAX_CELL] for part in parts).casefold()
