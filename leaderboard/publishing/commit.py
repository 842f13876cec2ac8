"""Publishes results: reads them, plans the change, shows it, and commits it or opens a pull request."""

import datetime
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from leaderboard.board.board import Entry
from leaderboard.board.reading import load_board, read_sentences
from leaderboard.board.tables import table_changes
from leaderboard.publishing.card import missing_files
from leaderboard.publishing.plan import plan
from leaderboard.rows.results import row_from_result
from leaderboard.rows.row import About, load_row
from leaderboard.stores import open_store
from leaderboard.stores.base import EMPTY, ForbiddenError, Store, UnmovedHeadError, retry
from leaderboard.stores.hub import HubStore
from metrics.scoring.result import read_results
from metrics.util.errors import InputError


def read_entries(path: Path, name: str | None = None, about: About | None = None) -> list[Entry]:
    """Return the rows, with their sentences, of a file of `metrics.score --json` or a local leaderboard.

    A file takes the system's `name` on the board and facts `about` it, a leaderboard neither.

    Raises:
        InputError: The path is neither, is damaged, or has no measured row.
    """
    try:
        is_folder = path.is_dir()
    except OSError as error:
        raise InputError(f"{str(path)[:80]}: not a valid path ({error.strerror})") from None
    if not is_folder:
        return _entries(read_results(path), str(path), name=name, about=about)
    if name is not None or about is not None:
        raise InputError(f"{path}: a leaderboard, whose rows have names and facts; --name and --about are for results")
    snapshot = open_store(local=path).snapshot()
    rows = [row for row in load_board(snapshot).rows.values() if row.record == "measured" and row.sentences]
    if not rows:
        raise InputError(f"{path}: no measured rows; give a result file, or the leaderboard folder that a run left")
    return [(row, read_sentences(snapshot, row) if row.sentences_path in snapshot.files else None) for row in rows]


def _entries(documents: Sequence[Mapping[str, Any]], where: str, **options: Any) -> list[Entry]:
    """Return the rows, with their sentences, of result documents; the options are those of `row_from_result`."""
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    return [row_from_result(document, where, submitter="local", date=now, **options) for document in documents]


def with_submitter(entries: Iterable[Entry], submitter: str) -> list[Entry]:
    """Return entries whose rows name `submitter`; a name that is not valid raises InputError."""
    documents = (({**row.model_dump(mode="json"), "submitter": submitter}, sentences) for row, sentences in entries)
    return [(load_row(document, "--submitter"), sentences) for document, sentences in documents]


def publish_documents(documents: Sequence[Mapping[str, Any]], repo: str, *, send: bool) -> None:
    """Print what results change in the leaderboard `repo` on the Hub, and with `send` open a pull request.

    Raises:
        InputError: A document is not valid, or the leaderboard or the Hub refuses it.
    """
    entries = _entries(documents, "result")
    for store, submitter in open_targets(repo, dry_run=not send):
        print(publish(store, with_submitter(entries, submitter), pull_request=send, dry_run=not send))


def open_targets(
    repo: str | None, local: str | None = None, submitter: str = "local", *, create: bool = False, dry_run: bool = False
) -> list[tuple[Store, str]]:
    """Return each leaderboard to publish to, with the submitter's name there: on the Hub, the token's user.

    Args:
        repo: A data set on the Hub, ORG/NAME; with `create`, made if it does not exist.
        local: A folder, in which the submitter is `submitter`.
        dry_run: Whether nothing will be published, so that no token is needed.

    Raises:
        InputError: The data set cannot be read, or there is no valid token.
    """
    targets: list[tuple[Store, str]] = [(open_store(local=local, create=True), submitter)] if local else []
    if repo and dry_run:
        targets.append((HubStore(repo), "dry run"))
    elif repo:
        remote = HubStore(repo)
        targets.append((remote, remote.user()))
        if create:
            remote.create()
        # An unreadable data set raises here, before anything is written anywhere.
        remote.snapshot()
    return targets


def publish(
    store: Store,
    entries: Sequence[Entry],
    *,
    replaces: Sequence[str] = (),
    pull_request: bool = False,
    dry_run: bool = False,
    show: Callable[[str], object] = print,
) -> str:
    """Publish rows with their sentences in one commit, and return one line that says what was done.

    Args:
        store: The leaderboard.
        entries: Rows with their sentences; None for rows without them.
        replaces: Run ids of rows of the same systems that leave the ranking.
        pull_request: Whether to open a pull request even where the token may write.
        dry_run: Whether to write nothing.
        show: Receives a description of the change before it is made.

    Raises:
        InputError: `plan` refuses a row, or the store stays busy; nothing is written then.
    """
    shown: set[str] = set()

    def show_once(description: str) -> None:
        # A retry shows only what has changed meanwhile.
        if description not in shown:
            show(description)
            shown.add(description)

    def attempt(pull_request: bool) -> str:
        return _attempt(store, entries, replaces, pull_request=pull_request, dry_run=dry_run, show=show_once)

    return attempt_until_taken(store, attempt, pull_request=pull_request)


def attempt_until_taken(store: Store, attempt: Callable[[bool], str], *, pull_request: bool) -> str:
    """Return `attempt(pull_request)`, called again while others commit or the store is busy.

    Where the Hub takes no commit although its head stays where it was read, a pull request is opened instead.

    Args:
        store: The leaderboard.
        attempt: Reads, plans and commits once; its argument says whether to open a pull request.
        pull_request: Whether to open a pull request at first.

    Raises:
        InputError: `attempt` refuses, or the store stays busy; nothing is written then.
    """
    try:
        return retry(lambda: attempt(pull_request), store.name)
    except UnmovedHeadError as error:
        if pull_request or not isinstance(store, HubStore):
            raise _no_commit(error) from None
        print(f"{error}; opening a pull request instead", file=sys.stderr)
    try:
        return retry(lambda: attempt(True), store.name, max_unmoved=2)
    except UnmovedHeadError as error:
        raise _no_commit(error) from None


def _attempt(
    store: Store, entries: Sequence[Entry], replaces: Sequence[str], *,
    pull_request: bool, dry_run: bool, show: Callable[[str], object],
) -> str:  # fmt: skip
    """Publish once; raises LostRaceError and BusyError, which `retry` handles."""
    try:
        snapshot = store.snapshot()
    except InputError as error:
        if not dry_run:
            raise
        print(f"{error}; the changes below are to an empty leaderboard")
        snapshot = EMPTY
    planned = plan(snapshot, entries, replaces)
    if not planned.changes or (pull_request and not planned.row_files):
        return f"{store.name}: nothing to do, all {len(entries)} rows are published already"
    show(planned.describe())
    if dry_run:
        return f"{store.name}: nothing was written (--dry-run)"
    if not pull_request or not isinstance(store, HubStore):
        try:
            revision = store.commit(planned.changes, snapshot.revision, planned.title)
            return f"{store.name}: published, revision {revision[:12]}"
        except ForbiddenError:
            if not isinstance(store, HubStore):
                raise
            if not planned.row_files:
                done = f"all {len(entries)} rows are published already"
                return f"{store.name}: {done}; its owner must run leaderboard.rebuild"
    # Without the derived tables, in which two pull requests would conflict. The next commit rebuilds them.
    return f"{store.name}: pull request {store.propose(planned.row_files, snapshot.revision, planned.title)}"


def _no_commit(error: UnmovedHeadError) -> InputError:
    """What to do where not even a pull request can be opened."""
    return InputError(f"{error}; nothing was published: look at its page for an open commit, and run this again later")


def rebuild(store: Store) -> str:
    """Rebuild the derived tables, add missing files, and return a line that counts the changes."""

    def act() -> str:
        # Without the hashes, so that `load_board` reads the rows and not the tables.
        snapshot = replace(store.snapshot(prefetch=True), oids={})
        board = load_board(snapshot)
        changes = {**missing_files(snapshot), **table_changes(board, snapshot)}
        if changes:
            store.commit(changes, snapshot.revision, "Rebuild the derived tables")
        return f"{store.name}: {len(board.rows)} rows, {len(changes)} files changed"

    return retry(act, store.name)
