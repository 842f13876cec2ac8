"""The state of the local Hub and its permissions: accounts, repositories, refs, pull requests. No HTTP here.

Everything is in memory. The server holds `Hub.lock` around each request, and every change of a repository ends in one
assignment of a ref: what was refused half way, or cut off, left nothing that a reader can see.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.hub import git
from tests.hub.git import Commit, HubError, Operation, Tree

_NAME = re.compile(r"[A-Za-z0-9][\w.\-]{0,95}")
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
WRITERS = ("write", "admin")


@dataclass(frozen=True)
class Caller:
    """A valid token: its user, its role (read or write), and the user's role in each organisation (also admin)."""

    name: str
    role: str
    orgs: dict[str, str]

    def belongs_to(self, namespace: str) -> bool:
        return namespace == self.name or namespace in self.orgs

    def may_write_in(self, namespace: str) -> bool:
        return namespace == self.name or self.orgs.get(namespace) in WRITERS


@dataclass
class Discussion:
    """A discussion, or a pull request, which started from the commit `base`."""

    num: int
    title: str
    author: str
    status: str
    created: datetime
    base: str | None = None
    target: str = "main"
    merge_commit: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ref(self) -> str:
        return f"refs/pr/{self.num}"

    def add_event(self, kind: str, author: str, data: dict[str, Any]) -> dict[str, Any]:
        number = f"{self.num} {len(self.events)} {kind}"
        event = {
            "id": hashlib.sha1(number.encode()).hexdigest()[:24],
            "type": kind,
            "author": {"name": author},
            "createdAt": stamp(now()),
            "data": data,
        }
        self.events.append(event)
        return event

    def comment(self, author: str, text: str) -> dict[str, Any]:
        latest = {"raw": text, "html": f"<p>{text}</p>", "updatedAt": stamp(now()), "author": {"name": author}}
        return self.add_event(
            "comment", author, {"edited": False, "hidden": False, "latest": latest, "history": [latest]}
        )


@dataclass
class Repo:
    kind: str
    id: str
    private: bool = False
    gated: str | bool = False
    sdk: str | None = None
    created: datetime = field(default_factory=lambda: now())
    blobs: dict[str, bytes] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)  # verified LFS objects, by sha256
    sent: dict[str, bytes] = field(default_factory=dict)  # LFS objects that were sent but not verified
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)  # refs/heads/…, refs/tags/…, refs/pr/… to commits
    discussions: list[Discussion] = field(default_factory=list)
    granted: set[str] = field(default_factory=set)  # whom a gated repository let in

    @property
    def namespace(self) -> str:
        return self.id.partition("/")[0]

    def content(self, file: git.File) -> bytes:
        return self.large[file.sha256] if file.sha256 else self.blobs[file.oid]

    def text(self, commit: Commit, path: str) -> str:
        """Return a small text file, "" if it does not exist."""
        file = commit.tree.get(path)
        return self.content(file).decode("utf-8", "replace") if file else ""

    def ref(self, revision: str) -> str | None:
        """Return the full name of a branch, tag or pull request."""
        names = (f"refs/heads/{revision}", f"refs/tags/{revision}", revision)
        return next((name for name in names if name in self.refs), None)

    def commit(self, revision: str) -> Commit:
        """Return the commit of a branch, tag, pull request or (shortened) commit id."""
        if ref := self.ref(revision):
            return self.commits[self.refs[ref]]
        if _COMMIT.fullmatch(revision):
            found = [commit for oid, commit in self.commits.items() if oid.startswith(revision)]
            if len(found) == 1:
                return found[0]
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def branch(self, revision: str) -> str:
        """Return the full name of a branch or pull request, which accept commits."""
        ref = self.ref(revision)
        if ref is None or ref.startswith("refs/tags/"):
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return ref

    def history(self, commit: Commit) -> Iterator[Commit]:
        return git.history(self.commits, commit)

    def _add(self, parent: str | None, tree: Tree, title: str, description: str, author: str) -> Commit:
        commit = git.new_commit(parent, tree, title, description, author, now())
        self.commits[commit.oid] = commit
        return commit

    def start(self, files: dict[str, str], author: str) -> None:
        """Make the first commit, as the Hub does."""
        operations: list[Operation] = [
            ("file", {"path": path, "content": text, "encoding": "utf-8"}) for path, text in files.items()
        ]
        tree = git.apply({}, operations, self.blobs, self.large)
        self.refs["refs/heads/main"] = self._add(None, tree, "initial commit", "", author).oid

    def push(self, revision: str, header: dict[str, Any], operations: list[Operation], author: str) -> Commit:
        """Commit to a branch or pull request; refuse a `parentCommit` that is not the head."""
        ref = self.branch(revision)
        head = self.commits[self.refs[ref]]
        wanted = header.get("parentCommit")
        if wanted is not None and not head.oid.startswith(wanted):
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        commit = self._commit_on(head, header, operations, author)
        if ref.startswith("refs/pr/"):
            discussion = self.discussion(int(ref.rpartition("/")[2]))
            discussion.add_event("commit", author, {"subject": commit.title, "oid": commit.oid})
        self.refs[ref] = commit.oid
        return commit

    def push_as_pull_request(
        self, revision: str, header: dict[str, Any], operations: list[Operation], author: str
    ) -> tuple[Commit, Discussion]:
        """Commit to a new pull request, which starts from `parentCommit` or else from the head of the branch."""
        ref = self.branch(revision)
        base = self.commit(header.get("parentCommit") or ref)
        commit = self._commit_on(base, header, operations, author)
        discussion = self.discuss(str(header["summary"]), str(header.get("description") or ""), author, "open")
        discussion.base, discussion.target = base.oid, ref.removeprefix("refs/heads/")
        discussion.add_event("commit", author, {"subject": commit.title, "oid": commit.oid})
        self.refs[discussion.ref] = commit.oid
        return commit, discussion

    def _commit_on(self, parent: Commit, header: dict[str, Any], operations: list[Operation], author: str) -> Commit:
        summary = str(header.get("summary") or "")
        if not summary:
            raise HubError(400, "summary is not allowed to be empty")
        tree = git.apply(parent.tree, operations, self.blobs, self.large)
        return self._add(parent.oid, tree, summary, str(header.get("description") or ""), author)

    def discuss(self, title: str, text: str, author: str, status: str) -> Discussion:
        discussion = Discussion(len(self.discussions) + 1, title, author, status, now())
        discussion.comment(author, text)
        self.discussions.append(discussion)
        return discussion

    def open_draft(self, title: str, text: str, author: str) -> Discussion:
        """Open a pull request without changes; commits go to its ref."""
        discussion = self.discuss(title, text, author, "draft")
        discussion.base = self.refs[discussion.ref] = self.refs["refs/heads/main"]
        return discussion

    def discussion(self, num: int) -> Discussion:
        if not 1 <= num <= len(self.discussions):
            raise HubError(404, "Discussion not found")
        return self.discussions[num - 1]

    def would_merge(self, discussion: Discussion) -> tuple[Tree, list[str]]:
        """Return the tree after a merge of the request's changes into the head, and the files in conflict."""
        assert discussion.base is not None
        base = self.commits[discussion.base]
        head = self.commits[self.refs[f"refs/heads/{discussion.target}"]]
        return git.merged(base.tree, head.tree, self.commits[self.refs[discussion.ref]].tree)

    def merge(self, discussion: Discussion, author: str) -> None:
        """Make one commit on the target branch, as the Hub's squash merge does."""
        if discussion.base is None:
            raise HubError(400, "This is not a pull request")
        if discussion.status not in ("open", "draft"):
            raise HubError(409, f"This pull request is {discussion.status}")
        tree, conflicts = self.would_merge(discussion)
        if conflicts:
            raise HubError(409, f"This pull request has conflicts: {', '.join(conflicts)}")
        ref = f"refs/heads/{discussion.target}"
        commit = self._add(self.refs[ref], tree, f"{discussion.title} (#{discussion.num})", "", author)
        discussion.status, discussion.merge_commit = "merged", commit.oid
        discussion.add_event("status-change", author, {"status": "merged"})
        self.refs[ref] = commit.oid


class Hub:
    """Accounts and repositories, and the rules of who may read and write them."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.users: dict[str, dict[str, str]] = {}
        self.tokens: dict[str, tuple[str, str]] = {}
        self.repos: dict[tuple[str, str], Repo] = {}
        # Signed addresses in the storage of large files: of which repository, which file, to GET or to PUT.
        self.grants: dict[str, tuple[Repo, str, str]] = {}

    def add_user(self, name: str, orgs: dict[str, str] | None = None, **tokens: str) -> None:
        """Add a user; `orgs` maps organisations to roles (read, write, admin), `read` and `write` are tokens."""
        with self.lock:
            self.users[name] = orgs or {}
            for role, token in tokens.items():
                self.tokens[token] = (name, role)

    def caller(self, authorization: str | None) -> Caller | None:
        """Return the sender of a request, None without a token; refuse an unknown token."""
        if authorization is None:
            return None
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer" or token not in self.tokens:
            raise HubError(401, "Invalid credentials in Authorization header")
        name, role = self.tokens[token]
        return Caller(name, role, dict(self.users[name]))

    def create(self, kind: str, id: str, caller: Caller, private: bool, sdk: str | None) -> Repo:
        """Create a repository with its first commit; refuse a foreign namespace, an invalid or an existing name."""
        namespace, _, name = id.partition("/")
        if not caller.may_write_in(namespace):
            raise HubError(403, f'You don\'t have the rights to create a {kind} under the namespace "{namespace}"')
        if not _NAME.fullmatch(name) or "--" in name or ".." in name or name.endswith((".git", ".")):
            raise HubError(400, f'Invalid repo name: "{id}"')
        if (kind, id) in self.repos:
            raise HubError(409, f"You already created this {kind} repo")
        repo = Repo(kind, id, private=private, sdk=sdk)
        files = {".gitattributes": git.gitattributes(kind)}
        if kind == "space":
            files["README.md"] = f"---\ntitle: {name}\nsdk: {sdk}\napp_file: app.py\n---\n"
        repo.start(files, caller.name)
        self.repos[kind, id] = repo
        return repo

    def find(self, kind: str, id: str, caller: Caller | None) -> Repo:
        """Return a repository that the caller may see; private ones do not exist for others."""
        repo = self.repos.get((kind, id))
        if repo is None or (repo.private and not (caller and caller.belongs_to(repo.namespace))):
            if caller is None:
                raise HubError(401, "Invalid username or password.")
            raise HubError(404, "Repository not found", "RepoNotFound")
        return repo

    def require_files(self, repo: Repo, caller: Caller | None) -> None:
        """Refuse the contents of a gated repository to users without access."""
        if repo.gated and not (caller and (caller.belongs_to(repo.namespace) or caller.name in repo.granted)):
            raise HubError(
                403 if caller else 401,
                f"Access to {repo.kind} {repo.id} is restricted and you are not in the authorized list.",
                "GatedRepo",
            )

    def require_write(self, repo: Repo, caller: Caller | None, refusal: str = "Authorization error.") -> Caller:
        caller = self.require_login(caller)
        if not caller.may_write_in(repo.namespace):
            raise HubError(403, refusal)
        return caller

    def require_login(self, caller: Caller | None, writing: bool = True) -> Caller:
        """Refuse anonymous callers, and read tokens where a request writes."""
        if caller is None:
            raise HubError(401, "Invalid username or password.")
        if writing and caller.role not in WRITERS:
            raise HubError(403, "You must use a write token to do this")
        return caller


def now() -> datetime:
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """Return a date in the Hub's format, with milliseconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
