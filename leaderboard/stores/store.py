"""Where a leaderboard lives: a local folder or a Hub data set, with one layout and one way to change it.

A change is read, planned and committed against the revision that was read; if somebody else was faster it is read and
planned again (optimistic locking: `parent_commit` on the Hub, a lock file in a folder).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from metrics.util.errors import InputError, out_of_space
from metrics.util.files import atomic_file, content_hash
from metrics.util.hub import HUB_ID, is_hub_failure

if TYPE_CHECKING:
    import huggingface_hub as hub

# How long a publisher goes on trying while others publish or the Hub has no time.
PATIENCE_SECONDS = 600
_SILENCES = 5
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 8.0


class LostRaceError(Exception):
    """The store changed since it was read; nothing was written."""


class BusyError(Exception):
    """The store gave no usable answer; whether a change was written is not known.

    pause: seconds it asked for. answered: whether there was an answer at all.
    """

    def __init__(self, reason: str, pause: float = 0, answered: bool = True) -> None:
        super().__init__(reason)
        self.pause = pause
        self.answered = answered


class ForbiddenError(InputError):
    """The token may not do this; nothing was written."""


@dataclass(frozen=True)
class Snapshot:
    """One state of a store. files: the paths in it. oids: git's hashes of their contents, where the store has them."""

    revision: str
    files: frozenset[str]
    _read: Callable[[str], bytes]
    oids: Mapping[str, str] = field(default_factory=dict)

    def read(self, path: str) -> bytes:
        """The bytes of a file (of a folder: as it is now). Errors: not one of `files`, a Hub that does not answer."""
        if path not in self.files:
            raise InputError(f"{path}: not in this leaderboard")
        return self._read(path)


# Its reader is never asked, since it has no files.
EMPTY = Snapshot("", frozenset(), lambda path: b"")


def git_oid(data: bytes) -> str:
    """What git, and so the Hub, calls a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Store(Protocol):
    name: str

    def snapshot(self, *, whole: bool = False) -> Snapshot:
        """The store as it is now. whole: everything will be read, so fetch it at once."""

    def commit(self, changes: Mapping[str, bytes], parent: str, message: str) -> str:
        """Writes all of `changes` or nothing; returns the new revision.

        Errors: LostRaceError, BusyError, ForbiddenError.
        """


def open_store(*, repo: str | None = None, local: str | Path | None = None, create: bool = False) -> Store:
    """The store in a folder or in a Hub data set; exactly one of the two is given.

    create: a folder that is not there is an empty leaderboard. Errors: no such folder, not ORG/NAME.
    """
    if (repo is None) == (local is None):
        raise InputError("give the leaderboard: either --local DIR or --repo ORG/NAME")
    if local is not None:
        folder = Path(local)
        try:
            there, other = folder.is_dir(), folder.exists() and not folder.is_dir()
        except OSError as error:
            raise InputError(f"{str(folder)[:80]}: not a usable name ({error.strerror})") from None
        if other or not (there or create):
            raise InputError(f"{folder}: no such folder; give the leaderboard folder that a run left")
        return LocalStore(folder)
    assert repo is not None
    return HubStore(repo)


class LocalStore:
    """A leaderboard in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = str(folder)

    def snapshot(self, *, whole: bool = False) -> Snapshot:
        stats = {}
        for path in self.folder.rglob("*"):
            relative = path.relative_to(self.folder)
            # A link may point anywhere, and hidden names are other programs' or a killed run's.
            if not any(part.startswith(".") for part in relative.parts) and path.is_file() and not path.is_symlink():
                stat = path.stat()
                stats[relative.as_posix()] = [stat.st_size, stat.st_mtime_ns]
        return Snapshot(content_hash(stats), frozenset(stats), lambda path: (self.folder / path).read_bytes())

    def commit(self, changes: Mapping[str, bytes], parent: str, message: str) -> str:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Not through a link: what it points to is not a lock.
            lock = os.open(self.folder / ".lock", os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o644)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if self.snapshot().revision != parent:
                    raise LostRaceError
                for path in sorted(changes, key=_order):
                    self._write(path, changes[path])
                return self.snapshot().revision
            finally:
                os.close(lock)
        except OSError as error:
            if out_of_space(error):
                raise
            raise InputError(f"{self.folder}: cannot be written ({error.strerror})") from None

    def _write(self, path: str, data: bytes) -> None:
        target = self.folder / path
        if any((self.folder / parent).is_symlink() for parent in Path(path).parents):
            raise InputError(f"{target.parent}: a link; a leaderboard is written in its own folder only")
        with atomic_file(target) as temporary:
            temporary.write_bytes(data)


def _order(path: str) -> tuple[bool, bool, str]:
    """Sentences, then rows, then tables: who is killed in between leaves only what the next one can enter."""
    return path.startswith("data/"), path.endswith(".json"), path


class HubStore:
    """A leaderboard in a data set of the Hub, through the client's own login."""

    def __init__(self, repo: str, api: hub.HfApi | None = None) -> None:
        import huggingface_hub

        if not HUB_ID.match(repo) or "/" not in repo:
            raise InputError(f"--repo {repo[:80]}: needs the id of a Hub data set, ORG/NAME")
        self.name = repo
        self.api = api or huggingface_hub.HfApi()

    def user(self) -> str:
        """Whose token it is. Errors: none, or one that the Hub does not take."""
        import huggingface_hub

        if not (self.api.token or huggingface_hub.get_token()):
            raise InputError("no Hub token; set HF_TOKEN or run `hf auth login`")
        return str(patiently(lambda: self._ask(lambda: self.api.whoami()["name"]), self))

    def create(self) -> None:
        """Makes the data set where there is none."""
        create = self.api.create_repo
        patiently(lambda: self._ask(lambda: create(self.name, repo_type="dataset", exist_ok=True)), self)

    def snapshot(self, *, whole: bool = False) -> Snapshot:
        ask = self.api.dataset_info
        info = patiently(lambda: self._ask(lambda: ask(self.name, files_metadata=True, timeout=60)), self)
        siblings, revision = info.siblings or [], str(info.sha)
        files = frozenset(sibling.rfilename for sibling in siblings)
        oids = {sibling.rfilename: sibling.blob_id for sibling in siblings if sibling.blob_id}
        if whole:
            folder = Path(patiently(lambda: self._ask(lambda: self._download_all(revision)), self))
            return Snapshot(revision, files, lambda path: (folder / path).read_bytes(), oids)
        return Snapshot(revision, files, lambda path: self._download(path, revision), oids)

    def _download_all(self, revision: str) -> str:
        return str(self.api.snapshot_download(self.name, repo_type="dataset", revision=revision))

    def _download(self, path: str, revision: str) -> bytes:
        def download() -> str:
            return str(self.api.hf_hub_download(self.name, path, repo_type="dataset", revision=revision))

        return Path(patiently(lambda: self._ask(download), self)).read_bytes()

    def commit(self, changes: Mapping[str, bytes], parent: str, message: str) -> str:
        return str(self._ask(lambda: self._commit(changes, parent, message, pull_request=False)).oid)

    def propose(self, changes: Mapping[str, bytes], parent: str, message: str) -> str:
        """Opens a pull request with `changes` and returns its address, or that of an own open one with the same."""
        user = self.user()
        listed = self._ask(
            lambda: list(
                self.api.get_repo_discussions(
                    self.name, repo_type="dataset", discussion_type="pull_request", discussion_status="open"
                )
            )
        )
        for request in listed:
            # Of others: what else their request changes is not known.
            if request.author == user and request.title == message and self._proposes(request.num, changes):
                return str(request.url)
        return str(self._ask(lambda: self._commit(changes, parent, message, pull_request=True)).pr_url)

    def _proposes(self, number: int, changes: Mapping[str, bytes]) -> bool:
        """Whether an open pull request holds these rows, as an earlier try may have left it."""
        from leaderboard.rows.formats import read_json
        from leaderboard.rows.row import load_row

        for path, data in changes.items():
            if path.endswith(".json"):
                try:
                    there = load_row(read_json(self._download(path, f"refs/pr/{number}"), path), path)
                except InputError:
                    return False
                if not there.agrees(load_row(read_json(data, path), path)):
                    return False
        return True

    def _commit(self, changes: Mapping[str, bytes], parent: str, message: str, *, pull_request: bool) -> Any:
        import huggingface_hub

        # Made anew for every try: the client writes into them.
        operations = [huggingface_hub.CommitOperationAdd(path, data) for path, data in sorted(changes.items())]
        return self.api.create_commit(
            self.name,
            operations,
            repo_type="dataset",
            commit_message=message,
            parent_commit=parent,
            create_pr=pull_request,
        )

    def _ask(self, call: Callable[[], Any]) -> Any:
        """`call()` with the Hub's refusals as this module's errors, and the token in none of them."""
        from huggingface_hub import errors

        try:
            return call()
        except UnicodeError:
            raise InputError("the Hub token holds characters that no token has; log in anew") from None
        except errors.GatedRepoError:
            raise InputError(f"{self.name}: gated; ask for access on its page") from None
        except errors.RepositoryNotFoundError:
            raise InputError(
                f"{self.name}: no such data set on the Hub, or your token may not read it (--create makes one)"
            ) from None
        except errors.OfflineModeIsEnabled:
            raise InputError(f"{self.name}: HF_HUB_OFFLINE is set; unset it to reach the Hub") from None
        except Exception as failed:
            # The client wraps what an upload of a large file failed with.
            error = failed.__cause__ if isinstance(failed, RuntimeError) and failed.__cause__ else failed
            status, headers = _answer(error)
            if status in (409, 412):
                raise LostRaceError from None
            if status == 401:
                raise InputError("the Hub does not take this token; log in anew with `hf auth login`") from None
            if status == 403:
                raise ForbiddenError(f"{self.name}: your token may not do this ({reason(error, self.api)})") from None
            if status == 429 or (status or 0) >= 500 or (status is None and is_hub_failure(error)):
                raise BusyError(reason(error, self.api), _pause(headers), answered=status is not None) from None
            if not is_hub_failure(error):
                raise
            raise InputError(f"{self.name}: the Hub refused ({reason(error, self.api)})") from None


def reason(error: BaseException, api: hub.HfApi) -> str:
    """An error of the Hub in one line, without the token, which the transport quotes where it is malformed."""
    import huggingface_hub

    line = " ".join(str(error).split())[:300] or type(error).__name__
    for token in (api.token, huggingface_hub.get_token()):
        if isinstance(token, str) and token.strip():
            line = line.replace(token.strip(), "…")
    return line


def _answer(error: BaseException) -> tuple[int | None, Mapping[str, str]]:
    response = getattr(error, "response", None)
    return (None, {}) if response is None else (response.status_code, response.headers)


def _pause(headers: Mapping[str, str]) -> float:
    """Seconds that the Hub asks to wait: Retry-After, or `t` of a RateLimit of which nothing is left (`r=0`)."""
    limit = headers.get("RateLimit", "")
    for text in (headers.get("Retry-After", ""), limit.rpartition("t=")[2] if ";r=0;" in limit else ""):
        if text.isdigit():
            return float(text)
    return 0.0


def patiently(act: Callable[[], Any], store: Store, patience: float | None = None) -> Any:
    """`act()` again and again, with random pauses, until it neither loses a race nor finds the store busy.

    `act` reads the store anew each time: after a lost answer it may find its change done.
    Errors (InputError): `patience` seconds (PATIENCE_SECONDS) are over, or there was no answer five times in a row.
    """
    silent = 0
    end = time.monotonic() + (PATIENCE_SECONDS if patience is None else patience)
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return act()
        except (LostRaceError, BusyError) as error:
            reason = str(error) or "others were faster each time"
            wait = random.uniform(0, pause) + getattr(error, "pause", 0)
            silent = 0 if getattr(error, "answered", True) else silent + 1
            if time.monotonic() + wait > end or silent == _SILENCES:
                raise InputError(f"{store.name}: gave up ({reason}); run the same command again") from None
            if isinstance(error, BusyError):
                print(f"{store.name}: {reason}; trying again in {wait:.0f} s", file=sys.stderr)
        time.sleep(wait)
        pause = min(3 * pause, _LONGEST_PAUSE_SECONDS)
