"""The command `python -m leaderboard.verify`: recomputes every row of a leaderboard from its stored outputs.

Per row it checks the schema, the place and run id, the sentences against the test set, the signature, the counts, every
score of every sentence, the means and intervals, what trivial baselines must have written, and that no row is a copy
under another name. A row is then

    verified       everything followed from the outputs
    mismatch       something did not: field, stored value, recomputed value
    unverifiable   something that it takes is not here: outputs, the test set, the profile's models, that version

--write stores what was found beside the rows. A killed run goes on where it stopped.

Exit codes: 0 no mismatch, 1 at least one, 2 something given cannot be used (one line says what), 130 interrupted.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from metrics.util.errors import InputError, run_command

if TYPE_CHECKING:
    from leaderboard.stores.store import Snapshot, Store
    from leaderboard.verification.checks import Bench, Outcome


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m leaderboard.verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--local", metavar="DIR", help="a leaderboard folder (default: the one tox -e reproduce left)")
    p.add_argument("--repo", metavar="ORG/NAME", help="a leaderboard on the Hub")
    p.add_argument("--only", action="append", metavar="RUN_ID", help="check this row only; may be repeated")
    p.add_argument("--profile", action="append", default=[], metavar="FILE", help="a profile that is not built in")
    p.add_argument("--data-dir", metavar="DIR", help="folder with the corpora (default: SRO_DATA_DIR)")
    p.add_argument("--write", action="store_true", help="store the findings in the leaderboard")
    return p


def main(argv: list[str]) -> None:
    options = parser().parse_args(argv)
    from leaderboard.board.board import row_files
    from leaderboard.rows.row import visible
    from leaderboard.show import DEFAULT
    from leaderboard.stores.store import open_store
    from leaderboard.verification.checks import Bench, check_files, check_tables
    from metrics.profiles import load_profile

    local = options.local or (None if options.repo else DEFAULT)
    store = open_store(repo=options.repo, local=local)
    profiles = {f"{p.name}.v{p.version}": p for p in map(load_profile, options.profile)}
    snapshot = store.snapshot(whole=True)
    outcomes = verify(snapshot, Bench(options.data_dir, profiles), options.only)
    tables = [] if options.only else [*check_tables(snapshot), *check_files(snapshot)]
    for outcome in [*outcomes, *tables]:
        print(f"{outcome.status}\t{visible(outcome.path)}\t{outcome.note}")
    if options.write:
        _write(store, outcomes)
    counts = {status: sum(o.status == status for o in outcomes) for status in ("verified", "mismatch", "unverifiable")}
    figures = 0 if options.only else len(row_files(snapshot) - {outcome.path for outcome in outcomes})
    more = f"; {figures} published figures are as in their list" if figures else ""
    print(f"{store.name}: " + ", ".join(f"{n} {status}" for status, n in counts.items()) + more)
    if counts["mismatch"] or tables:
        sys.exit(1)


def verify(snapshot: Snapshot, bench: Bench, only: Sequence[str] | None = None) -> list[Outcome]:
    """Checks all rows of a snapshot, or those with the run ids `only`; sorted by path."""
    from leaderboard.board.board import OLD_ROWS, read_row, row_files, run_of
    from leaderboard.rows.row import NewerSchemaError
    from leaderboard.verification.checks import Finding, Outcome, check_copies, check_published, check_row
    from metrics.util.progress import progress

    paths = [path for path in sorted(row_files(snapshot)) if not only or run_of(path) in only]
    missing = set(only or ()) - {run_of(path) for path in paths}
    if missing:
        raise InputError(f"--only: no row with run id {', '.join(sorted(missing))}")
    outcomes = []
    for path in progress(paths, "verifying"):
        outcome = Outcome(path)
        try:
            row = outcome.row = read_row(snapshot, path)
        except NewerSchemaError as error:
            outcome.missing.append(f"{str(error).removeprefix(f'{path}: ')}; install a newer one")
        except InputError as error:
            outcome.findings.append(Finding("row", str(error), "a row that its place and content agree on"))
        else:
            if row.record == "published":
                # Nothing is recomputed: one that is as it should be needs no word, and gets no badge.
                check_published(row, outcome)
                if outcome.status == "verified":
                    continue
            else:
                check_row(row, snapshot, bench, outcome)
        outcomes.append(outcome)
    check_copies(snapshot, outcomes)
    if OLD_ROWS in snapshot.files and not only:
        outcomes.append(Outcome(OLD_ROWS, missing=["rows of schema version 1 have no stored outputs"]))
    return outcomes


def _write(store: Store, outcomes: Sequence[Outcome]) -> None:
    """Stores the findings, and the tables that show them, in one commit. Of rows that are no longer the same, none."""
    from dataclasses import replace

    from leaderboard.board.board import load_board, table_changes, verification_file
    from leaderboard.board.tables import Verification
    from leaderboard.stores.store import patiently
    from metrics import __version__

    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    found = {
        o.row.run_id: Verification(o.status, o.note, today, __version__, o.row.sha256)
        for o in outcomes
        if o.row is not None and o.row.path == o.path
    }

    def act() -> None:
        snapshot = store.snapshot()
        board = load_board(snapshot)
        still = {run: v for run, v in found.items() if run in board.rows and board.rows[run].sha256 == v.row}
        board = replace(board, verifications={**board.verifications, **still})
        changes = dict(verification_file(run, verification) for run, verification in still.items())
        changes |= table_changes(board, snapshot)
        if changes:
            store.commit(changes, snapshot.revision, "Verify rows")

    patiently(act, store)


if __name__ == "__main__":
    run_command(main)
