"""Reads a board from a store: rows, sentences and verifications, each checked."""

import json
import re
import sys
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from leaderboard.board.board import Board, Verification
from leaderboard.board.recomputed import read_recomputed
from leaderboard.board.replaced import read_replaced
from leaderboard.board.tables import TABLES
from leaderboard.rows.formats import read_json
from leaderboard.rows.row import Row, expected_run_id, first_problem, load_row
from leaderboard.rows.sentences import Sentences
from leaderboard.stores.base import Snapshot
from leaderboard.stores.hub import git_oid
from metrics.data.parquet import read_records
from metrics.util.characters import printable
from metrics.util.dates import parse_day
from metrics.util.errors import InputError

# The file of rows of schema version 1.
V1_ROWS = "rows.parquet"
VERIFICATIONS = "verification"
_ROW_FILE = re.compile(r"^results/[\w.-]+/([0-9a-f]{16})\.json$", re.ASCII)


def _require_printable(text: str) -> str:
    if printable(text, len(text)) != text:
        raise ValueError("has invisible characters")
    return text


def _require_day(text: str) -> str:
    parse_day(text)
    return text


def load_board(snapshot: Snapshot) -> Board:
    """Return the board of a snapshot. Files without a valid row are skipped, each with a warning.

    Where the store lists the hash of each file, as the Hub does, a record of the derived tables replaces the file of
    that hash: one request in place of one per row.
    """
    for path, kind in sorted(snapshot.unread.items()):
        print(f"warning: {printable(path)}: {kind}, not a file; skipped", file=sys.stderr)
    cached_rows, cached_verifications, cached_j = _from_tables(snapshot)
    rows = _v1_rows(snapshot)
    for path in row_files(snapshot):
        with _skip_invalid():
            row = cached_rows.get(path) or read_row(snapshot, path)
            rows[row.run_id] = row
    verifications: dict[str, Verification] = {}
    for run in rows:
        path = verification_path(run)
        if path in snapshot.files:
            with _skip_invalid():
                verifications[run] = cached_verifications.get(path) or read_verification(snapshot, path)
    replaced: dict[str, str] = {}
    with _skip_invalid():
        replaced = read_replaced(snapshot)
    board = Board(rows, {}, verifications, replaced=replaced, stored=stored_sentences(snapshot, rows.values()))
    known = {row.run_id for row in board.latest if row.path in cached_rows and row.run_id in board.stored}
    board = replace(board, j={run: j for run, j in cached_j.items() if run in known})
    board = with_latest_j(board, snapshot)
    with _skip_invalid():
        return replace(board, recomputed=read_recomputed(snapshot, rows.values(), board.j))
    return board


def with_latest_j(board: Board, snapshot: Snapshot, known: Container[str] = ()) -> Board:
    """Return a board in which `j` has the values of all latest rows.

    A row becomes one of the latest again if the row that replaced it turns out to be a mismatch; its J was not read.

    Args:
        board: The board, whose `j` may lack latest rows.
        snapshot: The leaderboard. Damaged sentences are skipped, each with a warning.
        known: Run ids of rows that an earlier call has read, or found to be damaged.
    """
    j = dict(board.j)
    for row in board.latest:
        if row.run_id in board.stored and row.run_id not in j and row.run_id not in known:
            with _skip_invalid():
                j[row.run_id] = read_sentences(snapshot, row).values["j"]
    return replace(board, j=j)


def stored_sentences(snapshot: Snapshot, rows: Iterable[Row]) -> frozenset[str]:
    """Return the run ids of the rows whose sentences are in a snapshot."""
    return frozenset(row.run_id for row in rows if row.sentences and row.sentences_path in snapshot.files)


class _Stored(BaseModel):
    """The file of a `Verification`. The tables hold its texts, so that none may have invisible characters."""

    model_config = ConfigDict(extra="forbid", strict=True)
    status: Literal["verified", "mismatch", "unverifiable"]
    note: Annotated[str, Field(max_length=10_000), AfterValidator(_require_printable)]
    date: Annotated[str, AfterValidator(_require_day)]
    version: Annotated[str, Field(pattern=r"^[0-9A-Za-z.+-]{1,40}$")]
    row: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _checked(document: Any) -> Verification:
    return Verification(**_Stored.model_validate(document).model_dump())


@contextmanager
def _skip_invalid() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        print(f"warning: {printable(str(error))}; skipped", file=sys.stderr)


def _from_tables(snapshot: Snapshot) -> tuple[dict[str, Row], dict[str, Verification], dict[str, Any]]:
    """Return what the derived tables hold of unchanged files: rows and verifications by path, J by run id."""
    rows: dict[str, Row] = {}
    verifications: dict[str, Verification] = {}
    if not snapshot.oids or not {TABLES["full"], TABLES["paired"]} <= snapshot.files:
        return {}, {}, {}
    try:
        full = read_records(snapshot.read(TABLES["full"]), TABLES["full"])
        paired = read_records(snapshot.read(TABLES["paired"]), TABLES["paired"])
        for record in full:
            document = str(record["document"])
            row = load_row(read_json(document.encode(), TABLES["full"]), TABLES["full"])
            if snapshot.oids.get(row.path) == git_oid(document.encode()):
                rows[row.path] = row
            parts = {part: str(record[f"verification_{part}"]) for part in ("note", "date", "version")}
            verification = Verification(record["verification"], row=row.sha256, **parts)
            path, data = verification_file(row.run_id, verification)
            if snapshot.oids.get(path) == git_oid(data):
                with suppress(ValidationError):
                    verifications[path] = _checked(vars(verification))
        return rows, verifications, {r["run_id"]: np.array(r["j"], dtype=np.float64) for r in paired}
    except (InputError, KeyError, TypeError, ValueError) as error:
        print(f"warning: derived tables not used ({printable(str(error))})", file=sys.stderr)
        return {}, {}, {}


def row_files(snapshot: Snapshot) -> dict[str, str]:
    """Return the run ids in the paths of a snapshot's rows, by path."""
    return {path: match[1] for path in sorted(snapshot.files) if (match := _ROW_FILE.match(path))}


def read_row(snapshot: Snapshot, path: str) -> Row:
    """Return the row in a file; one whose run id or path does not follow from its configuration raises InputError."""
    document = read_json(snapshot.read(path), path)
    # Such a row has no outputs, and so nothing of it could be recomputed.
    if isinstance(document, dict) and document.get("schema_version") == 1:
        raise InputError(f"{path}: schema version 1, whose rows stand in {V1_ROWS}")
    row = load_row(document, path)
    _require_run_id(row, path)
    if row.path != path:
        raise InputError(f"{path}: holds the row of {row.path}")
    return row


def _require_run_id(row: Row, where: str) -> None:
    """Refuse a row that takes the run id of another run."""
    if expected_run_id(row) != row.run_id:
        raise InputError(f"{where}: run_id is {row.run_id}, its configuration gives {expected_run_id(row)}")


def read_sentences(snapshot: Snapshot, row: Row) -> Sentences:
    """Return the stored sentences of a row; a damaged file, or one with another hash, raises InputError."""
    sentences = Sentences.from_parquet(snapshot.read(row.sentences_path), row.sentences_path)
    if sentences.sha256 != row.sentences:
        raise InputError(f"{row.sentences_path}: hash {sentences.sha256[:16]}, the row says {row.sentences[:16]}")
    return sentences


def _v1_rows(snapshot: Snapshot) -> dict[str, Row]:
    """Return the rows of schema version 1, which share one file and have no sentences."""
    rows: dict[str, Row] = {}
    if V1_ROWS in snapshot.files:
        with _skip_invalid():
            for number, record in enumerate(read_records(snapshot.read(V1_ROWS), V1_ROWS)):
                with _skip_invalid():
                    row = load_row(record, f"{V1_ROWS}, row {number}")
                    _require_run_id(row, f"{V1_ROWS}, row {number}")
                    rows[row.run_id] = row
    return rows


def verification_path(run: str) -> str:
    """Return the path of the verification of the row with the run id `run`."""
    return f"{VERIFICATIONS}/{run}.json"


def verification_file(run: str, verification: Verification) -> tuple[str, bytes]:
    """Return the path and content of a verification's file."""
    return verification_path(run), (json.dumps(vars(verification), indent=1, sort_keys=True) + "\n").encode()


def read_verification(snapshot: Snapshot, path: str) -> Verification:
    """Return the verification in a file; one that is not of `leaderboard.verify --write` raises InputError."""
    try:
        return _checked(read_json(snapshot.read(path), path))
    except ValidationError as error:
        raise InputError(f"{path}: not a verification ({first_problem(error)})") from None


def stored_verification(snapshot: Snapshot, row: Row) -> Verification | None:
    """Return the stored verification of this version of a row; None if there is none, or no valid one."""
    with suppress(InputError):
        verification = read_verification(snapshot, verification_path(row.run_id))
        return verification if verification.row == row.sha256 else None
    return None
