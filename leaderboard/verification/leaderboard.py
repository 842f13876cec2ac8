"""Verifies a leaderboard: each row, its tables and files; and stores the verifications."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace

from leaderboard.board.board import Verification
from leaderboard.board.reading import V1_ROWS, load_board, read_row, row_files, run_of, verification_file
from leaderboard.board.tables import table_changes
from leaderboard.rows.row import NewerSchemaError
from leaderboard.stores.base import Snapshot, Store, retry
from leaderboard.verification.context import VerificationContext
from leaderboard.verification.outcome import Outcome
from leaderboard.verification.rows import check_copies, check_published, check_row
from leaderboard.verification.tables import check_files, check_tables
from metrics import __version__
from metrics.util.errors import InputError
from metrics.util.progress import progress


@dataclass(frozen=True)
class Report:
    """The verification of a leaderboard.

    Attributes:
        rows: Outcomes of the rows, without published figures that match their list.
        files: Outcomes of tables and files that are not as they should be.
        figures: Number of published figures that match their list.
    """

    rows: list[Outcome]
    files: list[Outcome]
    figures: int

    @property
    def failed(self) -> bool:
        """Whether there is a mismatch."""
        return bool(self.files) or any(outcome.status == "mismatch" for outcome in self.rows)

    @property
    def summary(self) -> str:
        """Counts of the rows by status."""
        statuses = ("verified", "mismatch", "unverifiable")
        counts = ", ".join(f"{sum(o.status == status for o in self.rows)} {status}" for status in statuses)
        return counts + (f"; {self.figures} published figures are as in their list" if self.figures else "")


def verify(store: Store, context: VerificationContext, only: Sequence[str] | None = None) -> Report:
    """Verify a leaderboard.

    Args:
        store: The leaderboard.
        context: Test sets and evaluators.
        only: Run ids of the rows to verify, without tables and files (default: everything).

    Raises:
        InputError: A run id of `only` has no row, or the store cannot be read.
    """
    snapshot = store.snapshot(prefetch=True)
    rows = verify_rows(snapshot, context, only)
    files = [] if only else [*check_tables(snapshot), *check_files(snapshot)]
    return Report(rows, files, 0 if only else len(row_files(snapshot) - {outcome.path for outcome in rows}))


def verify_rows(snapshot: Snapshot, context: VerificationContext, only: Sequence[str] | None = None) -> list[Outcome]:
    """Return the outcomes of a snapshot's rows, by path, without published figures that match their list.

    Arguments and errors are those of `verify`.
    """
    paths = [path for path in sorted(row_files(snapshot)) if not only or run_of(path) in only]
    missing = set(only or ()) - {run_of(path) for path in paths}
    if missing:
        raise InputError(f"--only: no row with run id {', '.join(sorted(missing))}")
    outcomes = []
    for path in progress(paths, "verifying"):
        try:
            row = read_row(snapshot, path)
        except NewerSchemaError as error:
            outcomes.append(Outcome(path, missing=[f"{str(error).removeprefix(f'{path}: ')}; install a newer one"]))
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


def write_verifications(store: Store, outcomes: Sequence[Outcome]) -> None:
    """Store verifications of rows, and the tables that show them, in one commit; skip rows that changed since.

    Raises:
        InputError: The store stays busy, or cannot be written.
    """
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    verifications = {
        o.row.run_id: Verification(o.status, o.note, today, __version__, o.row.sha256)
        for o in outcomes
        if o.row is not None
    }

    def act() -> None:
        snapshot = store.snapshot()
        board = load_board(snapshot)
        current = {run: v for run, v in verifications.items() if run in board.rows and board.rows[run].sha256 == v.row}
        board = replace(board, verifications={**board.verifications, **current})
        changes = dict(verification_file(run, verification) for run, verification in current.items())
        changes |= table_changes(board, snapshot)
        if changes:
            store.commit(changes, snapshot.revision, "Verify rows")

    retry(act, store.name)
