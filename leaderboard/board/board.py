"""The board in a store: its rows, sentences and verifications, read and checked."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from leaderboard.board.tables import TABLES, Board, Verification, derive
from leaderboard.rows.formats import read_json, read_parquet, read_records
from leaderboard.rows.results import Sentences
from leaderboard.rows.row import Row, expected_run_id, load_row, visible
from leaderboard.stores.store import Snapshot, git_oid
from metrics.systems.baselines import BASELINES
from metrics.systems.resolve import resolve_system
from metrics.util.errors import InputError

VERIFICATIONS = "verification"
OLD_ROWS = "rows.parquet"
_ROW_FILE = re.compile(r"^results/[\w.-]+/[0-9a-f]{16}\.json$", re.ASCII)
# Fewer sentences than this may come out alike by chance.
_TELLING = 20


def load_board(snapshot: Snapshot) -> Board:
    """The board of a snapshot, from the rows' files. Files that hold no valid row are passed over, with a warning each.

    Where the store tells the hash of every file, as the Hub does, what the derived tables hold of exactly that file
    serves for it: one request in place of one per row.
    """
    rows: dict[str, Row] = {}
    verifications: dict[str, Verification] = {}
    tables = _tables(snapshot)
    for path in sorted(row_files(snapshot)):
        try:
            row = tables.rows.get(path) or read_row(snapshot, path)
        except InputError as error:
            _warn(error)
            continue
        rows[row.run_id] = row
    if OLD_ROWS in snapshot.files:
        rows = {**_old_rows(snapshot), **rows}
    for run in rows:
        path = verification_path(run)
        if path in snapshot.files:
            try:
                verifications[run] = tables.verifications.get(path) or read_verification(snapshot, path)
            except InputError as error:
                _warn(error)
    board = Board(rows, {}, verifications)
    j: dict[str, np.ndarray[Any, Any]] = {}
    for row in board.latest:
        if row.sentences and row.sentences_path in snapshot.files:
            try:
                known = tables.j.get(row.run_id) if row.path in tables.rows else None
                j[row.run_id] = read_sentences(snapshot, row).values["j"] if known is None else known
            except InputError as error:
                _warn(error)
    return Board(rows, j, verifications)


def _warn(error: InputError) -> None:
    print(f"warning: {visible(str(error))}; passed over", file=sys.stderr)


class _Tables:
    """What the derived tables say of files that are still the same. rows, verifications: by path. j: by run id."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.verifications: dict[str, Verification] = {}
        self.j: dict[str, np.ndarray[Any, Any]] = {}


def _tables(snapshot: Snapshot) -> _Tables:
    found = _Tables()
    if not snapshot.oids or not {TABLES["full"], TABLES["paired"]} <= snapshot.files:
        return found
    try:
        full = read_records(snapshot.read(TABLES["full"]), TABLES["full"])
        paired = read_records(snapshot.read(TABLES["paired"]), TABLES["paired"])
        for record in full:
            document = str(record["document"])
            row = load_row(read_json(document.encode(), TABLES["full"]), TABLES["full"])
            if snapshot.oids.get(row.path) == git_oid(document.encode()):
                found.rows[row.path] = row
            parts = {part: str(record[f"verification_{part}"]) for part in ("note", "date", "version")}
            verification = Verification(record["verification"], row=row.sha256, **parts)
            path, data = verification_file(row.run_id, verification)
            if snapshot.oids.get(path) == git_oid(data):
                found.verifications[path] = verification
        found.j = {record["run_id"]: np.array(record["j"], dtype=np.float64) for record in paired}
    except (InputError, KeyError, TypeError, ValueError) as error:
        print(f"warning: derived tables not used ({visible(str(error))})", file=sys.stderr)
        return _Tables()
    return found


def run_of(path: str) -> str:
    """The run id in a row's path."""
    return path.rpartition("/")[2].partition(".")[0]


def row_files(snapshot: Snapshot) -> set[str]:
    return {path for path in snapshot.files if _ROW_FILE.match(path)}


def read_row(snapshot: Snapshot, path: str) -> Row:
    """Errors: not a row, or one stored where another belongs (a row copied, or its configuration altered)."""
    row = load_row(read_json(snapshot.read(path), path), path)
    if expected_run_id(row) != row.run_id:
        raise InputError(f"{path}: run_id is {row.run_id}, its configuration gives {expected_run_id(row)}")
    if row.path != path:
        raise InputError(f"{path}: holds the row of {row.path}")
    return row


def read_sentences(snapshot: Snapshot, row: Row) -> Sentences:
    """The stored sentences of a row. Errors: none, damaged ones, others than the row names."""
    if row.sentences_path not in snapshot.files:
        raise InputError(f"{row.sentences_path}: not in this leaderboard")
    sentences = Sentences.from_parquet(snapshot.read(row.sentences_path), row.sentences_path)
    if sentences.sha256 != row.sentences:
        raise InputError(f"{row.sentences_path}: hash {sentences.sha256[:16]}, the row says {row.sentences[:16]}")
    return sentences


def _old_rows(snapshot: Snapshot) -> dict[str, Row]:
    """Rows of schema version 1, which were kept in one file, without sentences."""
    rows: dict[str, Row] = {}
    try:
        records = read_records(snapshot.read(OLD_ROWS), OLD_ROWS)
    except InputError as error:
        _warn(error)
        return rows
    for number, record in enumerate(records):
        try:
            row = load_row(record, f"{OLD_ROWS}, row {number}")
        except InputError as error:
            _warn(error)
            continue
        rows[row.run_id] = row
    return rows


# -- verifications --------------------------------------------------------------------------------------------------
def verification_path(run: str) -> str:
    return f"{VERIFICATIONS}/{run}.json"


def verification_file(run: str, found: Verification) -> tuple[str, bytes]:
    return verification_path(run), (json.dumps(vars(found), indent=1, sort_keys=True) + "\n").encode()


def read_verification(snapshot: Snapshot, path: str) -> Verification:
    """Errors: a file that `leaderboard.verify --write` did not write."""
    found = read_json(snapshot.read(path), path)
    names = ("status", "note", "date", "version", "row")
    right = isinstance(found, dict) and all(
        isinstance(found.get(name), str) and len(found[name]) <= 10_000 for name in names
    )
    if not right or found["status"] not in ("verified", "mismatch", "unverifiable"):
        raise InputError(f"{path}: not a verification")
    return Verification(**{name: found[name] for name in names})


# -- changes --------------------------------------------------------------------------------------------------------
def with_rows(board: Board, additions: Mapping[str, tuple[Row, Sentences | None]]) -> Board:
    """`board` and the rows of `additions` (by run id)."""
    j: dict[str, np.ndarray[Any, Any]] = {run: s.values["j"] for run, (_, s) in additions.items() if s is not None}
    rows = {run: row for run, (row, _) in additions.items()}
    return replace(board, rows={**board.rows, **rows}, j={**board.j, **j})


def table_changes(board: Board, snapshot: Snapshot) -> dict[str, bytes]:
    """The derived tables, if one says something else than what is stored; another writer's bytes do not count."""
    derived = derive(board)
    for path, data in derived.items():
        if path not in snapshot.files:
            return derived
        stored = snapshot.read(path)
        if stored != data:
            try:
                if not read_parquet(stored, path).equals(read_parquet(data, path)):
                    return derived
            except InputError:
                return derived
    return {}


def by_outputs(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by what they wrote, for `find_copy`."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.outputs, []).append(row)
    return found


def find_copy(row: Row, others: Mapping[str, list[Row]]) -> Row | None:
    """The row among `others` (`by_outputs`) of which `row` is a copy under another system's name.

    Two systems that wrote the same, sentence by sentence, are one, however they were scored. Not so trivial baselines,
    whose outputs follow from the test set; systems on a handful of sentences; and systems of one training run, which
    coincide where the checkpoint of step 0 is kept.
    """
    if not row.outputs or is_trivial(row):
        return None
    for other in others.get(row.outputs, ()):
        telling = (row.test_set.n or 0) >= _TELLING or row.system.revision == other.system.revision
        if row.system.name != other.system.name and telling and not _one_run(row, other):
            return other
    return None


def is_trivial(row: Row) -> bool:
    """Whether a row is of a baseline as this program has it, whose outputs verification makes anew."""
    name = row.system.name
    right = row.system.kind in ("baseline", "human") and name in BASELINES
    return right and row.system.revision == resolve_system(name).revision


def _one_run(first: Row, second: Row) -> bool:
    recipes = [row.provenance.recipe or {} for row in (first, second)]
    if not recipes[0] or recipes[0] != recipes[1] or first.submitter != second.submitter:
        return False
    named = recipes[0].get("recipe", recipes[0])
    names = named.get("systems", []) if isinstance(named, dict) else []
    return {first.system.name, second.system.name} <= set(names)
