"""Publishes studies and answers of annotators, by a commit or a pull request; derived tables do not change."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from leaderboard.judging.answers import read_answer_table, read_answers
from leaderboard.judging.storage import new_files
from leaderboard.judging.study import Study, load_study
from leaderboard.publishing.commit import attempt_until_taken
from leaderboard.stores.base import ForbiddenError, Snapshot, Store
from leaderboard.stores.hub import HubStore
from metrics.data.judgement_files import Judgement, from_parquet, read_judgement_files
from metrics.util.errors import InputError
from metrics.util.files import content_hash, read_bytes

# Tables of answers; a .json is a file of the page.
TABLES = (".tsv", ".csv", ".jsonl")
# A file of answers as the page saves it; 15,000 answers take a third.
_MAX_BYTES = 4_000_000


def publish_answers(store: Store, paths: Sequence[Path], *, pull_request: bool = False, dry_run: bool = False) -> str:
    """Publish the answers that a leaderboard does not have yet, and return one line that says what was done.

    Args:
        store: The leaderboard, which holds the studies and the rows that were judged.
        paths: Files that the page saved, tables of answers, Parquet files of judgements, or folders of them, such as
            leaderboards.
        pull_request: Whether to open a pull request even where the token may write.
        dry_run: Whether to write nothing.

    Raises:
        InputError: A file is not valid, or about other rows or texts; nothing is written then.
    """

    def attempt(pull_request: bool) -> str:
        snapshot = store.snapshot()
        judgements = [one for path in paths for one in read_file(path, snapshot)]
        files = new_files(snapshot, judgements)
        annotators = len({one.annotator for one in judgements})
        if not files:
            return f"{store.name}: nothing to do, all {len(judgements):,} answers are there already"
        new = sum(len(from_parquet(data, path)) for path, data in files.items())
        studies = ", ".join(sorted({one.study for one in judgements}))
        title = f"Add {new:,} answers in {studies[:100]} ({content_hash(sorted(files))[:8]})"
        done = f"{new:,} answers of {annotators} annotators in {studies}"
        return _commit(store, snapshot, files, title, done, pull_request=pull_request, dry_run=dry_run)

    return attempt_until_taken(store, attempt, pull_request=pull_request)


def publish_study(store: Store, study: Study, *, pull_request: bool = False, dry_run: bool = False) -> str:
    """Publish a study, and return one line that says what was done; raises InputError if another one has its name."""

    def attempt(pull_request: bool) -> str:
        snapshot = store.snapshot()
        if study.path in snapshot.files:
            if load_study(snapshot.read(study.path), study.path) != study:
                raise InputError(f"{study.path}: holds another study; studies are never changed: give another name")
            return f"{store.name}: nothing to do, the study {study.name} is there already"
        done = f"study {study.name}, {study.size:,} {'pairs' if study.form == 'pairs' else 'rewrites'}"
        files = {study.path: study.to_json()}
        title = f"Add the study {study.name}"
        return _commit(store, snapshot, files, title, done, pull_request=pull_request, dry_run=dry_run)

    return attempt_until_taken(store, attempt, pull_request=pull_request)


def read_file(path: Path, snapshot: Snapshot) -> list[Judgement]:
    """Return the judgements in a file that the page saved, a table, Parquet, or a folder; raises InputError."""
    if path.is_dir() or path.suffix.lower() == ".parquet":
        return read_judgement_files(path)
    if path.suffix.lower() in TABLES:
        return read_answer_table(path, snapshot)
    return read_answers(read_bytes(path, _MAX_BYTES), str(path), snapshot)


def _commit(
    store: Store,
    snapshot: Snapshot,
    files: Mapping[str, bytes],
    title: str,
    done: str,
    *,
    pull_request: bool,
    dry_run: bool,
) -> str:
    """Commit files once, or open a pull request, and return one line; raises what `attempt_until_taken` handles."""
    for path, data in sorted(files.items()):
        print(f"+ {path} ({len(data):,} bytes)")
    if dry_run:
        return f"{store.name}: nothing was written (--dry-run): {done}"
    if not pull_request or not isinstance(store, HubStore):
        try:
            revision = store.commit(files, snapshot.revision, title)
            return f"{store.name}: {done}; revision {revision[:12]}"
        except ForbiddenError:
            if not isinstance(store, HubStore):
                raise
    return f"{store.name}: {done}; pull request {store.propose(files, snapshot.revision, title)}"
