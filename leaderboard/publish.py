"""The command `python -m leaderboard.publish RESULT…`: enters results in a leaderboard, in a folder or on the Hub.

RESULT is a file of `python -m metrics.score … --json FILE`, or a local leaderboard folder such as a run leaves, whose
rows are then published with their sentences. What would change is shown, then made in one commit: rows, sentences and
the derived tables. Without write access a pull request is opened. A row is never overwritten: publishing the same run
again changes nothing, another result for the same run is refused.

Exit codes: 0 published or already there, 2 nothing was published (one line says why), 130 interrupted.
"""

from __future__ import annotations

import argparse
import datetime
import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from metrics.util.errors import InputError, run_command

if TYPE_CHECKING:
    from leaderboard.board.tables import Board
    from leaderboard.rows.results import Sentences
    from leaderboard.rows.row import About, Row
    from leaderboard.stores.store import Snapshot, Store

Entry = tuple["Row", "Sentences | None"]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m leaderboard.publish", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("results", metavar="RESULT", nargs="*", help="a result file, or a local leaderboard folder")
    p.add_argument("--repo", metavar="ORG/NAME", help="the leaderboard's data set on the Hub")
    p.add_argument("--local", metavar="DIR", help="a leaderboard folder, made if it is not there")
    p.add_argument("--pr", action="store_true", help="open a pull request even where you may write")
    p.add_argument("--create", action="store_true", help="make the data set if there is none")
    p.add_argument("--name", help="the system's name on the board (one result only)")
    p.add_argument("--about", metavar="FILE", help="YAML: the system's size, licence and so on (docs/leaderboard.md)")
    p.add_argument("--published", action="store_true", help="also the figures of leaderboard/published.yaml")
    p.add_argument("--without-texts", action="store_true", help="only the rows: for texts that may not be passed on")
    p.add_argument("--submitter", default="local", help="for --local; on the Hub it is the token's user")
    p.add_argument("--to-model", action="store_true", help="propose .eval_results and model-index to the models' repos")
    p.add_argument("--dry-run", action="store_true", help="show what would change, change nothing")
    return p


def main(argv: list[str]) -> None:
    options = parser().parse_args(argv)
    from leaderboard.rows.published import published_rows
    from leaderboard.rows.systems import read_about
    from leaderboard.stores.store import HubStore, open_store

    if not options.repo and not options.local:
        raise InputError("give the leaderboard: --repo ORG/NAME, --local DIR, or both")
    if options.to_model and not options.repo:
        raise InputError("--to-model: names the data set on the Hub in the model's repo; give --repo ORG/NAME")
    if options.pr and not options.repo:
        raise InputError("--pr: is for the Hub; a folder takes rows at once")
    about = read_about(Path(options.about)) if options.about else None
    entries = [e for path in options.results for e in read_entries(Path(path), options.name, about)]
    if not entries and not options.published:
        raise InputError("nothing to publish; give a file of python -m metrics.score … --json FILE")
    if options.name is not None and len(entries) != 1:
        raise InputError(f"--name: {len(entries)} results; publish them one by one")
    stores: list[Store] = [open_store(local=options.local, create=True)] if options.local else []
    user = ""
    if options.repo:
        remote = HubStore(options.repo)
        user = "dry run" if options.dry_run else remote.user()
        if options.create and not options.dry_run:
            remote.create()
        stores.append(remote)
        if not options.dry_run:
            # Whatever keeps it from being read is said before anything is written anywhere.
            remote.snapshot()
    for store in stores:
        own = [
            (_submitted(row, user if isinstance(store, HubStore) else options.submitter),
             None if options.without_texts else sentences)
            for row, sentences in entries
        ]  # fmt: skip
        own += [(row, None) for row in published_rows()] if options.published else []
        print(publish(store, own, pull_request=options.pr, dry_run=options.dry_run))
    if options.to_model and not options.dry_run:
        from leaderboard.publishing.model_repo import propose

        for row, _ in entries:
            opened = propose(row, options.repo, HubStore(options.repo).api, model_index=True)
            if opened:
                print(f"{row.system.name}: pull request {opened}")


def _submitted(row: Row, submitter: str) -> Row:
    """The row under its submitter's name, which is checked like all that a row holds."""
    from leaderboard.rows.row import load_row

    return load_row({**row.model_dump(mode="json"), "submitter": submitter}, "--submitter")


def read_entries(path: Path, name: str | None, about: About | None) -> list[Entry]:
    """The rows, with their sentences, of a result file or of a local leaderboard. Errors: neither, or damaged ones."""
    from leaderboard.board.board import load_board, read_sentences
    from leaderboard.rows.results import row_from_result
    from leaderboard.stores.store import open_store
    from metrics.compare import read_results

    try:
        folder = path.is_dir()
    except OSError as error:
        raise InputError(f"{str(path)[:80]}: not a usable name ({error.strerror})") from None
    if not folder:
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        return [
            row_from_result(document, str(path), submitter="local", date=now, name=name, about=about)
            for document in read_results(path)
        ]
    if name is not None or about is not None:
        raise InputError(f"{path}: a leaderboard, whose rows have names and facts; --name and --about are for results")
    snapshot = open_store(local=path).snapshot()
    rows = [row for row in load_board(snapshot).rows.values() if row.record == "measured" and row.sentences]
    if not rows:
        raise InputError(
            f"{path}: no measured row in it; give a result file, or the leaderboard folder that a run left"
        )
    return [(row, read_sentences(snapshot, row) if row.sentences_path in snapshot.files else None) for row in rows]


def publish(
    store: Store,
    entries: Sequence[Entry],
    *,
    pull_request: bool = False,
    dry_run: bool = False,
    show: Callable[[str], object] = print,
) -> str:
    """Enters rows with their sentences in one commit; returns what was done. show: is given what is about to change.

    Errors (InputError): a run that is there with another result, a copy of another system's row, a store that stays
    busy. Nothing is written then.
    """
    from leaderboard.stores.store import ForbiddenError, HubStore, patiently

    def act() -> str:
        snapshot = _read(store, dry_run)
        board, changed, additions, changes = plan(snapshot, entries)
        if not changes or (pull_request and not additions):
            return f"{store.name}: nothing to do, all {len(entries)} rows are there"
        show(describe(board, changed, additions, changes))
        if dry_run:
            return f"{store.name}: nothing was written (--dry-run)"
        title = _title([row for row, _ in additions.values()])
        if not pull_request or not isinstance(store, HubStore):
            try:
                return f"{store.name}: published, revision {store.commit(changes, snapshot.revision, title)[:12]}"
            except ForbiddenError:
                if not isinstance(store, HubStore):
                    raise
                if not additions:
                    return f"{store.name}: all {len(entries)} rows are there; its owner has to run leaderboard.rebuild"
        # The rows alone: derived tables of two requests would conflict, and are made anew anyway.
        files = {path: data for entry in additions.values() for path, data in _files(entry).items()}
        return f"{store.name}: pull request {store.propose(files, snapshot.revision, title)}"

    return str(patiently(act, store))


def _read(store: Store, dry_run: bool) -> Snapshot:
    from leaderboard.stores.store import EMPTY

    try:
        return store.snapshot()
    except InputError as error:
        if not dry_run:
            raise
        print(f"{error}; what follows is shown against an empty leaderboard")
        return EMPTY


def plan(snapshot: Snapshot, entries: Sequence[Entry]) -> tuple[Board, Board, dict[str, Entry], dict[str, bytes]]:
    """(the board as it is and as it will be, what is new by run id, path → content of all that changes).

    Errors: as `publish`.
    """
    from leaderboard.board.board import by_outputs, find_copy, load_board, table_changes, with_rows
    from leaderboard.publishing.card import scaffold

    board = load_board(snapshot)
    newest = {row.run_id for row in board.latest}
    # Of the newest rows the sentences were read: a file that is there may be damaged.
    stored = {
        run for run, row in board.rows.items()
        if row.sentences_path in snapshot.files and (run in board.j or run not in newest)
    }  # fmt: skip
    written = by_outputs(row for run, row in board.rows.items() if run in stored)
    additions: dict[str, Entry] = {}
    for row, sentences in entries:
        there = board.rows.get(row.run_id)
        if there is not None:
            if not there.agrees(row):
                raise InputError(
                    f"{row.path}: {there.submitter} published another result for this run (J {_j(there)}, yours "
                    f"{_j(row)}); rows are never overwritten"
                )
            # A publisher that was killed, or kept its texts back, left a row without its sentences.
            if sentences is not None and row.run_id not in stored:
                if there.sentences != sentences.sha256:
                    raise InputError(
                        f"{row.path}: is there without its sentences, and yours differ by rounding; publish it from "
                        "where it was scored"
                    )
                additions[row.run_id] = there, sentences
            continue
        _require_honest_name(row)
        first = find_copy(row, written)
        if first is not None:
            raise InputError(
                f"{row.system.name}: wrote, sentence by sentence, what {first.system.name} did ({first.path}); a copy "
                "under another name gets no row"
            )
        additions[row.run_id] = row, sentences
    changed = with_rows(board, additions)
    changes = {path: data for entry in additions.values() for path, data in _files(entry).items()}
    changes |= scaffold(snapshot)
    return board, changed, additions, {**changes, **table_changes(changed, snapshot)}


def _require_honest_name(row: Row) -> None:
    """Errors: a baseline's name on something else, or its kind on another name; a day that is not yet."""
    from leaderboard.board.board import is_trivial
    from metrics.systems.baselines import BASELINES

    if row.record == "measured" and not is_trivial(row):
        if row.system.name in BASELINES:
            raise InputError(f"{row.system.name}: the name of a trivial system of this program, and of no other")
        if row.system.kind in ("baseline", "human"):
            raise InputError(f"{row.system.name}: of kind {row.system.kind}, which only trivial systems are")
    if row.postdated:
        raise InputError(f"{row.system.name}: dated {row.date:%Y-%m-%d}; is the clock right?")


def _files(entry: Entry) -> dict[str, bytes]:
    row, sentences = entry
    files = {row.path: row.to_json().encode()}
    return files if sentences is None else {**files, row.sentences_path: sentences.to_parquet()}


def _j(row: Row) -> str:
    return f"{row.scores['j'].mean:.3f}" if "j" in row.scores else "none"


def describe(before: Board, after: Board, additions: Mapping[str, Entry], changes: Mapping[str, bytes]) -> str:
    """What would change: files with their sizes, and the rankings that the new rows enter, as a diff."""
    from leaderboard.show import table

    lines = [f"+ {path} ({len(data):,} bytes)" for path, data in sorted(changes.items())]
    groups = {row.comparable for row, _ in additions.values()}
    earlier = {ranking[0].comparable: table(ranking, before).split("\n") for ranking in before.rankings}
    for ranking in after.rankings:
        first = ranking[0]
        if first.comparable in groups:
            lines.append(f"{first.test_set.name} (n = {first.test_set.n or 'not said'}), {first.profile}:")
            old, new = earlier.get(first.comparable, []), table(ranking, after).split("\n")
            changed = difflib.unified_diff(old, new, n=1, lineterm="")
            lines += [line for line in changed if line[:2] not in ("--", "++", "@@")]
    return "\n".join(lines)


def _title(rows: Sequence[Row]) -> str:
    from metrics.util.files import content_hash

    if not rows:
        return "Rebuild the derived tables"
    if len(rows) == 1:
        return f"Add {rows[0].system.name} ({rows[0].run_id})"
    return f"Add {len(rows)} results ({content_hash(sorted(row.run_id for row in rows))[:8]})"


if __name__ == "__main__":
    run_command(main)
