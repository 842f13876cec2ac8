"""Verifies the derived tables and other files of a leaderboard against its rows."""

from __future__ import annotations

import sys
from dataclasses import replace

import pyarrow as pa

from leaderboard.board.reading import load_board, row_files, run_of
from leaderboard.board.tables import TABLES, derive
from leaderboard.publishing.card import SAMPLE, sample_parquet
from leaderboard.rows.formats import read_parquet
from leaderboard.rows.row import RESULTS
from leaderboard.stores.base import Snapshot
from leaderboard.verification.outcome import Outcome
from metrics.util.errors import InputError


def check_tables(snapshot: Snapshot) -> list[Outcome]:
    """Return an outcome for each derived table that does not follow from the rows that it lists.

    Rows that the tables do not list yet, such as those of a merged pull request, only give a warning.
    """
    full = TABLES["full"]
    if full not in snapshot.files:
        return []
    try:
        listed = set(map(str, read_parquet(snapshot.read(full), full).column("run_id").to_pylist()))
    except (InputError, KeyError, ValueError) as error:
        return [Outcome(full, findings=[f"table: not readable ({error})"])]
    unlisted = {path for path in row_files(snapshot) if run_of(path) not in listed}
    if unlisted:
        print(f"{full}: lacks {len(unlisted)} stored rows; run python -m leaderboard.rebuild", file=sys.stderr)
    board = load_board(replace(snapshot, files=snapshot.files - unlisted, oids={}))
    outcomes = []
    for path, data in derive(board).items():
        outcome = Outcome(path)
        try:
            _compare_tables(read_parquet(snapshot.read(path), path), read_parquet(data, path), outcome)
        except (InputError, KeyError, ValueError) as error:
            outcome.findings.append(f"table: not readable ({error})")
        if outcome.findings:
            outcomes.append(outcome)
    return outcomes


def _compare_tables(stored: pa.Table, rebuilt: pa.Table, outcome: Outcome) -> None:
    if stored.column_names != rebuilt.column_names:
        outcome.differ("columns", ", ".join(stored.column_names), ", ".join(rebuilt.column_names))
        return
    records, expected = stored.to_pylist(), {record["run_id"]: record for record in rebuilt.to_pylist()}
    for record in records:
        if record["run_id"] not in expected:
            outcome.differ(f"run {record['run_id']}", f"a row {record.get('system', '')}", "no such row")
    if len(records) != len(expected):
        outcome.differ("rows", len(records), len(expected))
    for record in records:
        for column, value in expected.get(record["run_id"], {}).items():
            if record[column] != value:
                outcome.differ(f"run {record['run_id']}: {column}", record[column], value)
    if not outcome.findings and not stored.equals(rebuilt):
        outcome.findings.append("table: its order or types differ from the rebuilt table's")


def check_files(snapshot: Snapshot) -> list[Outcome]:
    """Return an outcome for each file that readers would load although it belongs to no row, and for a changed sample.

    Readers load all Parquet files below `data` and `results` (the card's `configs`).
    """
    rows = row_files(snapshot)
    known = {*TABLES.values(), *rows, *(path.removesuffix(".json") + ".parquet" for path in rows)}
    outcomes = [
        Outcome(path, findings=["file: belongs to no row"])
        for path in sorted(snapshot.files - known)
        if path.startswith(("data/", f"{RESULTS}/"))
    ]
    if SAMPLE in snapshot.files:
        try:
            same = read_parquet(snapshot.read(SAMPLE), SAMPLE).equals(read_parquet(sample_parquet(), SAMPLE))
        except InputError:
            same = False
        if not same:
            outcomes.append(Outcome(SAMPLE, findings=["sentences: not those of the built-in test set"]))
    return outcomes
