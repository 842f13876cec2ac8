"""The board in a store: its rows, read from the derived tables where they list them, from the rows' files elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from leaderboard.results import Sentences
from leaderboard.row import RESULTS, Row, expected_run_id, load_row
from leaderboard.store import Snapshot
from leaderboard.tables import TABLES, Board, Verification, derive, read_board
from metrics.errors import InputError

VERIFICATIONS = "verification"
OLD_ROWS = "rows.parquet"


def load_board(snapshot: Snapshot, *, anew: bool = False) -> Board:
    """The board of a snapshot. Files that hold no valid row are passed over, with a warning each.

    anew: from the rows' files alone, whatever the tables say; one read per row.
    """
    board = Board()
    if not anew and {TABLES["full"], TABLES["paired"]} <= snapshot.files:
        board = read_board(snapshot.read(TABLES["full"]), snapshot.read(TABLES["paired"]))
    rows = {run: row for run, row in board.rows.items() if row.path in snapshot.files}
    known = {row.path for row in rows.values()}
    for path in sorted(row_files(snapshot) - known):
        try:
            row = read_row(snapshot, path)
        except InputError as error:
            print(f"warning: {error}; passed over", file=sys.stderr)
            continue
        rows[row.run_id] = row
    if OLD_ROWS in snapshot.files:
        rows = {**_old_rows(snapshot.read(OLD_ROWS)), **rows}
    verifications = {run: found for run, found in board.verifications.items() if found.status != "unchecked"}
    for run in rows.keys() - verifications.keys():
        path = f"{VERIFICATIONS}/{run}.json"
        if path in snapshot.files:
            verifications[run] = _read_verification(snapshot.read(path), path)
    merged = Board(rows, dict(board.j), verifications)
    for row in merged.latest():
        if row.sentences and row.run_id not in merged.j and row.sentences_path in snapshot.files:
            try:
                merged.j[row.run_id] = read_sentences(snapshot, row).values["j"]
            except InputError as error:
                print(f"warning: {error}; passed over", file=sys.stderr)
    return merged


def row_files(snapshot: Snapshot) -> set[str]:
    return {path for path in snapshot.files if path.startswith(f"{RESULTS}/") and path.endswith(".json")}


def read_row(snapshot: Snapshot, path: str) -> Row:
    """Errors: not a row, or one stored where another belongs (a row copied, or its configuration altered)."""
    try:
        document = json.loads(snapshot.read(path))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    row = load_row(document, path)
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


def _old_rows(data: bytes) -> dict[str, Row]:
    """Rows of schema version 1, which were kept in one file."""
    from io import BytesIO

    import pyarrow as pa
    from pyarrow import parquet

    try:
        records = parquet.read_table(BytesIO(data)).to_pylist()
    except (pa.ArrowException, ValueError) as error:
        raise InputError(f"{OLD_ROWS}: not a Parquet file ({' '.join(str(error).split())[:100]})") from None
    rows = [load_row(record, f"{OLD_ROWS}, row {number}") for number, record in enumerate(records)]
    return {row.run_id: row for row in rows}


def _read_verification(data: bytes, path: str) -> Verification:
    try:
        found = json.loads(data)
        values = {name: found[name] for name in ("status", "note", "date", "version")}
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: not a verification; write it anew with python -m leaderboard.verify") from None
    if values["status"] not in ("verified", "mismatch", "unverifiable") or not all(map(_is_text, values.values())):
        raise InputError(f"{path}: not a verification; write it anew with python -m leaderboard.verify")
    return Verification(**values)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 10_000


def verification_file(run: str, found: Verification) -> tuple[str, bytes]:
    return f"{VERIFICATIONS}/{run}.json", (json.dumps(vars(found), indent=1, ensure_ascii=False) + "\n").encode()


def with_rows(board: Board, additions: Mapping[str, tuple[Row, Sentences | None]]) -> Board:
    """`board` and the rows of `additions` (by run id)."""
    j: dict[str, np.ndarray[Any, Any]] = {run: s.values["j"] for run, (_, s) in additions.items() if s is not None}
    rows = {run: row for run, (row, _) in additions.items()}
    return replace(board, rows={**board.rows, **rows}, j={**board.j, **j})


def table_changes(board: Board, snapshot: Snapshot) -> dict[str, bytes]:
    """The derived tables if one differs from what is stored."""
    derived = derive(board)
    same = all(path in snapshot.files and snapshot.read(path) == data for path, data in derived.items())
    return {} if same else derived


def find_copies(board: Board) -> dict[str, str]:
    """run id → run id of the row of which it is a copy under another system's name.

    Two systems that wrote and scored the same, sentence by sentence, are one. The original is a trivial baseline, else
    a row that was verified before, else the older. Systems of one training run may coincide (a checkpoint kept at step
    0 is its own warm-up), and so may systems on a handful of sentences.
    """
    groups: dict[str, list[Row]] = {}
    for row in board.rows.values():
        if row.sentences:
            groups.setdefault(row.sentences, []).append(row)
    copies = {}
    for group in groups.values():
        order = [(row.system.kind not in ("baseline", "human"), board.status(row).status != "verified", row.date,
                  row.run_id) for row in group]  # fmt: skip
        first, *others = [row for _, row in sorted(zip(order, group, strict=True), key=lambda pair: pair[0])]
        for row in others:
            telling = (row.test_set.n or 0) >= _TELLING or row.system.revision == first.system.revision
            if row.system.name != first.system.name and telling and not _one_run(first, row):
                copies[row.run_id] = first.run_id
    return copies


# Fewer sentences than this may come out alike by chance.
_TELLING = 20


def _one_run(first: Row, second: Row) -> bool:
    recipes = [row.provenance.recipe or {} for row in (first, second)]
    if not recipes[0] or recipes[0] != recipes[1] or first.submitter != second.submitter:
        return False
    named = recipes[0].get("recipe", recipes[0])
    names = named.get("systems", []) if isinstance(named, dict) else []
    return {first.system.name, second.system.name} <= set(names)
