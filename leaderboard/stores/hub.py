"""A leaderboard in a data set of the Hub; `parent_commit` serialises commits."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import huggingface_hub as hub
from huggingface_hub import errors

from leaderboard.rows.formats import read_json
from leaderboard.rows.row import RESULTS, load_row
from leaderboard.stores.base import BusyError, ForbiddenError, LostRaceError, Snapshot, retry
from metrics.util.errors import InputError
from metrics.util.hub import HUB_ID, is_hub_failure, require_sendable_token

T = TypeVar("T")


def git_oid(data: bytes) -> str:
    """Return git's hash of a file with this content, by which the Hub lists it."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class HubStore:
    """A leaderboard in the data set `repo` (ORG/NAME), read by `api` (default: a client with the user's login)."""

    def __init__(self, repo: str, api: hub.HfApi | None = None) -> None:
        if not HUB_ID.match(repo) or "/" not in repo:
            raise InputError(f"--repo {repo[:80]}: needs the id of a Hub data set, ORG/NAME")
        self.name = repo
        self.api = api or hub.HfApi()

    def user(self) -> str:
        """Return the name of the token's user, or raise InputError if there is no token or the Hub rejects it."""
        if not (self.api.token or hub.get_token()):
            raise InputError("no Hub token; set HF_TOKEN or run `hf auth login`")
        return str(self._retry(lambda: self.api.whoami()["name"]))

    def create(self) -> None:
        """Create the data set if it does not exist."""
        self._retry(lambda: self.api.create_repo(self.name, repo_type="dataset", exist_ok=True))

    def snapshot(self, *, prefetch: bool = False) -> Snapshot:
        """Return the data set's current commit as `Store.snapshot` does."""
        info = self._retry(lambda: self.api.dataset_info(self.name, files_metadata=True, timeout=60))
        revision, oids = str(info.sha), {sibling.rfilename: sibling.blob_id or "" for sibling in info.siblings or []}
        if prefetch:
            download = self.api.snapshot_download
            folder = Path(str(self._retry(lambda: download(self.name, repo_type="dataset", revision=revision))))
            return Snapshot(revision, frozenset(oids), lambda path: (folder / path).read_bytes(), oids)
        return Snapshot(revision, frozenset(oids), lambda path: self._download(path, revision), oids)

    def _download(self, path: str, revision: str) -> bytes:
        download = self.api.hf_hub_download
        file = self._retry(lambda: download(self.name, path, repo_type="dataset", revision=revision))
        return Path(str(file)).read_bytes()

    def commit(self, changes: Mapping[str, bytes], parent: str, message: str) -> str:
        """Write `changes` in one commit and return its hash, as `Store.commit` does."""
        return str(self._commit(changes, parent, message, pull_request=False).oid)

    def propose(self, changes: Mapping[str, bytes], parent: str, message: str) -> str:
        """Open a pull request and return its address, or that of the user's open one with the same content."""
        user = self.user()
        with self._errors():
            kinds = {"repo_type": "dataset", "discussion_type": "pull_request", "discussion_status": "open"}
            requests = list(self.api.get_repo_discussions(self.name, **kinds))
        for request in requests:
            # Another user's pull request may change other files too.
            if request.author == user and request.title == message and self._has_files(request.num, changes):
                return str(request.url)
        return str(self._commit(changes, parent, message, pull_request=True).pr_url)

    def _has_files(self, number: int, changes: Mapping[str, bytes]) -> bool:
        """Return whether an open pull request holds the rows of `changes`, and the files outside of results/."""
        revision = f"refs/pr/{number}"
        of_rows = {path: data for path, data in changes.items() if path.startswith(f"{RESULTS}/")}
        rows = {path: load_row(read_json(data, path), path) for path, data in of_rows.items() if path.endswith(".json")}
        try:
            same = all(self._download(p, revision) == data for p, data in changes.items() if p not in of_rows)
            return same and all(
                load_row(read_json(self._download(p, revision), p), p).agrees(row) for p, row in rows.items()
            )
        except InputError:
            return False

    def _commit(self, changes: Mapping[str, bytes], parent: str, message: str, *, pull_request: bool) -> Any:
        # New operations for each attempt: the client changes them.
        operations = [hub.CommitOperationAdd(path, data) for path, data in sorted(changes.items())]
        options = {"repo_type": "dataset", "parent_commit": parent, "create_pr": pull_request}
        try:
            with self._errors():
                return self.api.create_commit(self.name, operations, commit_message=message, **options)
        except LostRaceError:
            raise LostRaceError(parent) from None

    def _retry(self, call: Callable[[], T]) -> T:
        def act() -> T:
            with self._errors():
                return call()

        return retry(act, self.name)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Translate the client's errors to those of `leaderboard.stores.base`, without the token in the message."""
        with translate_hub_errors(self.name, "data set", self.api, " (--create makes one)"):
            try:
                yield
            except (errors.RepositoryNotFoundError, errors.OfflineModeIsEnabled):
                raise
            except Exception as raised:
                # The client wraps the error of an upload of a large file.
                error = raised.__cause__ if isinstance(raised, RuntimeError) and raised.__cause__ else raised
                response = getattr(error, "response", None)
                status, headers = (None, {}) if response is None else (response.status_code, response.headers)
                reason = hub_reason(error, self.api)
                if status in (409, 412):
                    raise LostRaceError from None
                if status == 401:
                    raise InputError("the Hub does not take this token; log in again with `hf auth login`") from None
                if status == 403:
                    raise ForbiddenError(f"{self.name}: your token may not do this ({reason})") from None
                if status == 429 or (status or 0) >= 500 or (status is None and is_hub_failure(error)):
                    raise BusyError(reason, _pause(headers), answered=status is not None) from None
                if is_hub_failure(error):
                    raise error from None
                raise


@contextmanager
def translate_hub_errors(name: str, kind: str, api: hub.HfApi, hint: str = "") -> Iterator[None]:
    """Translate the client's errors about a `kind` of repository to `InputError`, without the token in the message."""
    require_sendable_token(api.token if isinstance(api.token, str) else None)
    try:
        yield
    except errors.GatedRepoError:
        raise InputError(f"{name}: gated; ask for access on its page") from None
    except errors.RepositoryNotFoundError:
        raise InputError(f"{name}: no such {kind} on the Hub, or your token may not read it{hint}") from None
    except errors.HFValidationError:
        raise InputError(f"{name}: not the id of a {kind} on the Hub") from None
    except errors.OfflineModeIsEnabled:
        raise InputError(f"{name}: HF_HUB_OFFLINE is set; unset it to reach the Hub") from None
    except Exception as error:
        if not is_hub_failure(error):
            raise
        raise InputError(
            f"{name}: the Hub refused or gave no answer ({hub_reason(error, api)}); run it again"
        ) from None


def hub_reason(error: BaseException, api: hub.HfApi) -> str:
    """Return a Hub error in one line, without the token, which the transport quotes if it is malformed."""
    line = " ".join(str(error).split())[:300] or type(error).__name__
    for token in (api.token, hub.get_token()):
        if isinstance(token, str) and token.strip():
            line = line.replace(token.strip(), "…")
    return line


def _pause(headers: Mapping[str, str]) -> float:
    """Return the seconds to wait: Retry-After, or `t` of an exhausted RateLimit (`"api";r=0;t=55`)."""
    limit = headers.get("RateLimit", "")
    texts = (headers.get("Retry-After", ""), limit.rpartition("t=")[2] if ";r=0;" in limit else "")
    return next((float(text) for text in texts if text.isdigit()), 0.0)
