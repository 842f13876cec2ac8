"""Verifies a leaderboard: each row, its tables and files; and stores the verifications."""

import datetime
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from leaderboard.board.board import Verification
from leaderboard.board.reading import (
    V1_ROWS,
    VERIFICATIONS,
    load_board,
    read_row,
    read_verification,
    row_files,
    stored_verification,
    verification_file,
    verification_path,
    with_latest_j,
)
from leaderboard.board.recomputed import RECOMPUTED, read_stored, recomputed_file
from leaderboard.board.tables import TABLES, derive, table_changes
from leaderboard.rows.row import TOLERANCE, NewerSchemaError
from leaderboard.stores.base import Snapshot, Store, retry
from leaderboard.verification.files import check_files
from leaderboard.verification.rows import Outcome, VerificationContext, check_copies, check_published, check_row
from metrics import __version__
from metrics.data.parquet import read_parquet
from metrics.util.errors import InputError
from metrics.util.progress import progress

# Run ids in a line. A leaderboard may have thousands.
_MAX_NAMED = 10


@dataclass(frozen=True)
class Report:
    """Outcomes of rows, and of tables and files with findings; `figures` counts the published figures left out."""

    rows: list[Outcome]
    files: list[Outcome]
    figures: int

    @property
    def failed(self) -> bool:
        """Whether there is a mismatch."""
        return any(outcome.status == "mismatch" for outcome in [*self.rows, *self.files])

    @property
    def summary(self) -> str:
        """Counts by status of the rows, and of the tables and files that are not as they should be."""
        rows = _count(self.rows, ("verified", "mismatch", "unverifiable"))
        figures = f"; {self.figures} published figures are as in their list" if self.figures else ""
        files = f"; tables and other files: {_count(self.files, ('mismatch', 'unverifiable'))}" if self.files else ""
        return f"{'rows: ' if files else ''}{rows}{figures}{files}"


def _count(outcomes: Sequence[Outcome], statuses: Sequence[str]) -> str:
    return ", ".join(f"{sum(o.status == status for o in outcomes)} {status}" for status in statuses)


def verify(store: Store, context: VerificationContext, only: Sequence[str] | None = None) -> Report:
    """Verify a leaderboard, or only the rows with the run ids `only` and their verifications, without other files.

    Raises:
        InputError: A run id of `only` has no row, or the store cannot be read.
    """
    snapshot = store.snapshot(prefetch=True)
    rows = verify_rows(snapshot, context, only)
    files = check_statuses(snapshot, rows)
    if not only:
        files += [*check_recomputed(snapshot, rows), *check_tables(snapshot), *check_files(snapshot)]
    return Report(rows, files, 0 if only else len(row_files(snapshot).keys() - {outcome.path for outcome in rows}))


def verify_rows(snapshot: Snapshot, context: VerificationContext, only: Sequence[str] | None = None) -> list[Outcome]:
    """Return the outcomes of rows, by path, without published figures that match their list; raise as `verify`."""
    runs = row_files(snapshot)
    missing = set(only or ()) - set(runs.values())
    if missing:
        raise InputError(f"--only: no row with run id {', '.join(sorted(missing))}")
    outcomes = []
    for path in progress([path for path, run in runs.items() if not only or run in only], "verifying"):
        try:
            row = read_row(snapshot, path)
        except NewerSchemaError as error:
            problem = str(error).removeprefix(f"{path}: ")
            if verifier := _past_verifier(snapshot, runs[path]):
                outcomes.append(Outcome(path, findings=[f"row: {problem}, and yet version {verifier} has verified it"]))
            else:
                outcomes.append(Outcome(path, missing=[f"{problem}; install a newer one"]))
        except InputError as error:
            outcomes.append(Outcome(path, findings=[f"row: {error}"]))
        else:
            measured = row.record == "measured"
            outcome = check_row(row, snapshot, context) if measured else check_published(row)
            # A published figure has nothing to recompute, and so is never "verified".
            if measured or outcome.status != "verified":
                outcomes.append(outcome)
    check_copies(snapshot, outcomes)
    if V1_ROWS in snapshot.files and not only:
        outcomes.append(Outcome(V1_ROWS, missing=["rows of schema version 1 have no stored outputs"]))
    return outcomes


def _past_verifier(snapshot: Snapshot, run: str) -> str:
    """The version of a stored verification, if it is of this program or an older one, which read this row; else ""."""

    def number(version: str) -> list[int]:
        return [int(digits) for digits in re.findall(r"\d+", version)]

    with suppress(InputError):
        version = read_verification(snapshot, verification_path(run)).version
        return version if number(version) <= number(__version__) else ""
    return ""


def check_statuses(snapshot: Snapshot, outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return an outcome for each stored verification that disproves a row which is verified here.

    It would take the row out of the ranking. One that is unverifiable only says what its verifier lacked.
    """
    files = []
    for row in (outcome.row for outcome in outcomes if outcome.status == "verified"):
        stored = stored_verification(snapshot, row) if row else None
        if row and stored and stored.status == "mismatch":
            outcome = Outcome(verification_path(row.run_id))
            outcome.compare("status", stored.status, "verified")
            files.append(outcome)
    return files


def check_recomputed(snapshot: Snapshot, outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return an outcome for the file of recomputed values, if it has others than those of the verified rows.

    Values of rows that were deleted, or that have changed since, have no effect on the ranking. They are named
    nevertheless: nothing else shows that a verification was deleted.
    """
    if RECOMPUTED not in snapshot.files:
        return []
    outcome = Outcome(RECOMPUTED)
    try:
        stored = read_stored(snapshot)
    except InputError as error:
        outcome.findings.append(f"file: {error}")
        return [outcome]
    for row, here in ((o.row, o.recomputed if o.status == "verified" else None) for o in outcomes):
        own = stored.get(row.run_id) if row else None
        if row is None or own is None or own.row != row.sha256:
            verification = stored_verification(snapshot, row) if row else None
            if row and verification and verification.status == "verified":
                outcome.findings.append(f"run {row.run_id}: lacks the values of its verification")
        elif here is None:
            if not own.belongs_to(row, None):
                outcome.findings.append(f"run {row.run_id}: no verification of this row can have given its values")
        elif len(own.j) != len(here.j):
            outcome.compare(f"run {row.run_id}: n", len(own.j), len(here.j))
        else:
            for name, value in here.values.items():
                outcome.compare(f"run {row.run_id}: {name}", own.values[name], value, TOLERANCE)
            for i in np.flatnonzero(np.abs(own.j - here.j) > TOLERANCE).tolist():
                outcome.compare(f"run {row.run_id}: j of sentence {i}", float(own.j[i]), float(here.j[i]))
    runs = set(row_files(snapshot).values())
    for run in sorted(run for run in stored if verification_path(run) not in snapshot.files):
        lost = "verification was" if run in runs else "row and verification were"
        action = "restore what is missing, or run leaderboard.verify --write if it was deleted on purpose"
        outcome.missing.append(f"run {run}: the file has its values, but its {lost} deleted; {action}")
    return [outcome] if outcome.status != "verified" else []


def check_tables(snapshot: Snapshot) -> list[Outcome]:
    """Return an outcome for each derived table that does not follow from the rows, or lacks some of them.

    Rows of merged pull requests are in no table before the next commit. Without a table, or without rows that no
    verification names, tables are therefore unverifiable; one missing table, or a verified row that they lack, is a
    mismatch, because the program writes all tables and the verifications at once.
    """
    full, paths = TABLES["full"], row_files(snapshot)
    if not snapshot.files & set(TABLES.values()):
        verified = any(path.startswith(f"{VERIFICATIONS}/") for path in snapshot.files)
        problem = "not here; run python -m leaderboard.rebuild"
        lacking = Outcome(full, findings=[f"table: {problem}"]) if verified else Outcome(full, missing=[problem])
        return [lacking] if paths else []
    outcomes = {path: Outcome(path) for path in TABLES.values()}
    try:
        listed = set(map(str, read_parquet(snapshot.read(full), full).column("run_id").to_pylist()))
    except (InputError, KeyError, ValueError):
        # Named below. The others are compared with all rows.
        listed = set(paths.values())
    unlisted = {path for path, run in paths.items() if run not in listed}
    _check_unlisted(snapshot, unlisted, outcomes[full])
    board = load_board(replace(snapshot, files=snapshot.files - unlisted, oids={}))
    for path, data in derive(board).items():
        try:
            _compare_tables(read_parquet(snapshot.read(path), path), read_parquet(data, path), outcomes[path])
        except (InputError, KeyError, TypeError, ValueError) as error:
            outcomes[path].findings.append(f"table: not readable ({error})")
    return [outcome for outcome in outcomes.values() if outcome.status != "verified"]


def _check_unlisted(snapshot: Snapshot, unlisted: Iterable[str], outcome: Outcome) -> None:
    """Tell rows that were removed from the tables from rows that came by a pull request since."""
    merged, recomputed = [], {}
    with suppress(InputError):
        recomputed = read_stored(snapshot)
    for path in sorted(unlisted):
        with suppress(InputError):
            row = read_row(snapshot, path)
            if stored := stored_verification(snapshot, row):
                found = f"run {row.run_id}: not listed, and yet its verification is of {stored.date}"
                outcome.findings.append(f"{found}; run python -m leaderboard.rebuild")
            elif row.run_id in recomputed and recomputed[row.run_id].row == row.sha256:
                found = f"run {row.run_id}: not listed, and yet {RECOMPUTED} has its values"
                outcome.findings.append(f"{found}; run python -m leaderboard.rebuild")
            else:
                merged.append(row.run_id)
    if merged:
        more = f" and {len(merged) - _MAX_NAMED} more" if len(merged) > _MAX_NAMED else ""
        lacks = f"lacks the stored rows {', '.join(merged[:_MAX_NAMED])}{more}"
        outcome.missing.append(f"{lacks}; run python -m leaderboard.rebuild")


def _compare_tables(stored: pa.Table, rebuilt: pa.Table, outcome: Outcome) -> None:
    if stored.column_names != rebuilt.column_names:
        outcome.compare("columns", ", ".join(stored.column_names), ", ".join(rebuilt.column_names))
        return
    records, expected = stored.to_pylist(), {record["run_id"]: record for record in rebuilt.to_pylist()}
    for record in records:
        if record["run_id"] not in expected:
            outcome.compare(f"run {record['run_id']}", f"a row {record.get('system', '')}", "no such row")
    outcome.compare("rows", len(records), len(expected))
    for record in records:
        for column, value in expected.get(record["run_id"], {}).items():
            outcome.compare(f"run {record['run_id']}: {column}", record[column], value)
    if not outcome.findings and not stored.equals(rebuilt):
        outcome.findings.append("table: its order or types differ from the rebuilt table's")


def write_verifications(store: Store, outcomes: Sequence[Outcome]) -> None:
    """Store verifications of rows, and the tables that show them, in one commit; skip rows that changed since."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    rows = [(o.row, o) for o in outcomes if o.row is not None]
    verifications = {row.run_id: Verification(o.status, o.note, today, __version__, row.sha256) for row, o in rows}
    recomputed = {row.run_id: o.recomputed for row, o in rows if o.status == "verified" and o.recomputed is not None}

    def act() -> None:
        snapshot = store.snapshot()
        board = load_board(snapshot)
        current = {run: v for run, v in verifications.items() if run in board.rows and board.rows[run].sha256 == v.row}
        kept = {run: one for run, one in board.recomputed.items() if run not in current}
        kept |= {run: one for run, one in recomputed.items() if run in current}
        # Rows that one of these mismatches replaced are ranked again.
        found = replace(board, verifications={**board.verifications, **current})
        board = with_latest_j(found, snapshot, board.latest_ids)
        verified = {run for run, row in board.rows.items() if board.status(row).status == "verified"}
        # The file has the values of all verified rows, so that one that it lacks is found. Older versions of this
        # program wrote none: it begins once all these rows are verified again.
        begun = RECOMPUTED in snapshot.files or kept.keys() >= verified
        board = replace(board, recomputed=kept if begun else {})
        changes = dict(verification_file(run, verification) for run, verification in current.items())
        changes |= table_changes(board, snapshot)
        if begun and (kept or RECOMPUTED in snapshot.files):
            changes[RECOMPUTED] = recomputed_file(kept)
        if changes:
            store.commit(changes, snapshot.revision, "Verify rows")

    retry(act, store.name)
