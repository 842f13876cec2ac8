"""The Hub's HTTP interface, one function per endpoint, as huggingface_hub 2.4 calls it. No sockets here.

A function gets the `Call` and returns a `Reply` or raises `HubError`. Paths are matched before they are unquoted: a
revision such as refs%2Fpr%2F1 is one segment.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode

import yaml

from tests.hub import git
from tests.hub.git import Commit, File, Folder, HubError, Operation
from tests.hub.repos import Caller, Discussion, Hub, Repo, stamp

_KIND = "(?P<kind>models|datasets|spaces)"
_ID = "(?P<id>[^/]+/[^/]+)"
_API = f"/api/{_KIND}/{_ID}"
_REV = "(?P<rev>refs/[a-z]+/[^/]+|[^/]+)"
_FILES = f"/(?:(?P<kind>datasets|spaces)/)?{_ID}"
_TALK = f"{_API}/discussions/(?P<num>[0-9]+)"
_REPO_ADDRESS = re.compile("/api/(models|datasets|spaces)/.+|/.+/resolve/.+")
PREFIXES = {"model": "", "dataset": "datasets/", "space": "spaces/"}


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Call:
    """One request, and the server's two addresses: large files have another origin, as on the Hub."""

    hub: Hub
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    endpoint: str
    storage: str
    page_size: int
    match: dict[str, str | None] = field(default_factory=dict)

    @property
    def caller(self) -> Caller | None:
        return self.hub.caller(self.headers.get("authorization"))

    @property
    def repo(self) -> Repo:
        return self.hub.find((self.match["kind"] or "models").removesuffix("s"), self.part("id"), self.caller)

    def part(self, name: str) -> str:
        return unquote(self.match.get(name) or "")

    def flag(self, name: str) -> bool:
        return self.query.get(name, ["false"])[-1].lower() in ("1", "true")

    def json(self) -> dict[str, Any]:
        try:
            value = json.loads(self.body or b"{}")
        except ValueError as error:
            raise HubError(400, f"Invalid JSON: {error}") from error
        if not isinstance(value, dict):
            raise HubError(400, "Invalid JSON: not an object")
        return value

    def address(self, repo: Repo) -> str:
        """Return the address of a repository's page."""
        return f"{self.endpoint}/{PREFIXES[repo.kind]}{repo.id}"

    def page(self, items: list[Any], size: int) -> Reply:
        """Return a page of a list, with the next page's address in the Link header."""
        start = int(base64.urlsafe_b64decode(self.query.get("cursor", ["MA=="])[0]))
        reply = answer(items[start : start + size])
        if start + size < len(items):
            cursor = base64.urlsafe_b64encode(str(start + size).encode()).decode()
            query = urlencode({**self.query, "cursor": [cursor]}, doseq=True)
            reply.headers["Link"] = f'<{self.endpoint}{self.path}?{query}>; rel="next"'
        return reply


def answer(value: Any, status: int = 200, **headers: str) -> Reply:
    content = json.dumps(value, default=str).encode()
    return Reply(status, content, {"Content-Type": "application/json; charset=utf-8", **headers})


_ROUTES: list[tuple[str, re.Pattern[str], Callable[[Call], Reply]]] = []


def route(method: str, pattern: str) -> Callable[[Callable[[Call], Reply]], Callable[[Call], Reply]]:
    def register(function: Callable[[Call], Reply]) -> Callable[[Call], Reply]:
        _ROUTES.append((method, re.compile(pattern), function))
        return function

    return register


def handle(call: Call) -> Reply:
    """Return the response to a request, which may be a refusal."""
    try:
        with call.hub.lock:
            return _endpoint(call)(call)
    except HubError as refusal:
        return refused(refusal, call.path)


def _endpoint(call: Call) -> Callable[[Call], Reply]:
    method = "GET" if call.method == "HEAD" else call.method
    for allowed, pattern, function in _ROUTES:
        if allowed == method and (match := pattern.fullmatch(call.path)):
            call.match = match.groupdict()
            return function
    if _REPO_ADDRESS.fullmatch(call.path):
        # A name without a namespace, or an endpoint that this server lacks.
        raise HubError(404, f"Repository not found: no {call.method} {call.path}", "RepoNotFound")
    raise HubError(404, f"No such address: {call.method} {call.path}")


def refused(refusal: HubError, path: str) -> Reply:
    code = refusal.code
    if refusal.status == 401 and not refusal.message.startswith("Invalid credentials") and not code:
        # Of a 401 without a code the client asks whether the address begins with https and is a repository's, and if
        # so calls it not found. Here the addresses begin with http: the code makes up for it.
        code = "RepoNotFound" if _REPO_ADDRESS.fullmatch(path) else None
    headers = {"X-Error-Message": refusal.message, **({"X-Error-Code": code} if code else {}), **refusal.headers}
    return answer({"error": refusal.message}, refusal.status, **headers)


# Accounts and repositories


@route("GET", "/api/whoami-v2")
def whoami(call: Call) -> Reply:
    caller = call.hub.require_login(call.caller, writing=False)
    return answer(
        {
            "type": "user",
            "id": hashlib.sha1(caller.name.encode()).hexdigest()[:24],
            "name": caller.name,
            "fullname": caller.name,
            "orgs": [{"type": "org", "name": name, "roleInOrg": role} for name, role in caller.orgs.items()],
            "auth": {"type": "access_token", "accessToken": {"displayName": "test", "role": caller.role}},
        }
    )


@route("POST", "/api/repos/create")
def create(call: Call) -> Reply:
    caller = call.hub.require_login(call.caller)
    wanted = call.json()
    kind = wanted.get("type") or "model"
    id = f"{wanted.get('organization') or caller.name}/{wanted.get('name', '')}"
    if kind not in PREFIXES:
        raise HubError(400, f"Invalid repo type: {kind}")
    try:
        repo = call.hub.create(kind, id, caller, wanted.get("visibility") == "private", wanted.get("sdk"))
    except HubError as refusal:
        if refusal.status == 409:
            # With exist_ok the client reads the address from the refusal.
            return answer({"error": refusal.message, "url": f"{call.endpoint}/{PREFIXES[kind]}{id}"}, 409)
        raise
    return answer({"url": call.address(repo), "name": repo.id, "id": repo.id})


@route("DELETE", "/api/repos/delete")
def delete(call: Call) -> Reply:
    caller = call.hub.require_login(call.caller)
    wanted = call.json()
    id = f"{wanted.get('organization') or caller.name}/{wanted.get('name', '')}"
    repo = call.hub.find(wanted.get("type") or "model", id, caller)
    call.hub.require_write(repo, caller)
    del call.hub.repos[repo.kind, repo.id]
    return answer({})


@route("PUT", f"{_API}/settings")
def settings(call: Call) -> Reply:
    repo, wanted = call.repo, call.json()
    call.hub.require_write(repo, call.caller)
    repo.gated = wanted.get("gated", repo.gated)
    if "visibility" in wanted:
        repo.private = wanted["visibility"] == "private"
    return answer({"private": repo.private, "gated": repo.gated})


@route("GET", f"{_API}/auth-check(?P<write>/write)?")
def auth_check(call: Call) -> Reply:
    call.hub.require_files(call.repo, call.caller)
    if call.match["write"]:
        call.hub.require_write(call.repo, call.caller)
    return answer({})


@route("GET", f"{_API}(?:/revision/{_REV})?")
def info(call: Call) -> Reply:
    repo = call.repo
    commit = repo.commit(call.part("rev") or "main")
    front = front_matter(repo.text(commit, "README.md"))
    card = front if isinstance(front, dict) else {}
    siblings = [_sibling(path, file, call.flag("blobs")) for path, file in sorted(commit.tree.items())]
    data: dict[str, Any] = {
        "id": repo.id,
        "author": repo.namespace,
        "sha": commit.oid,
        "lastModified": stamp(repo.commit("main").date),
        "createdAt": stamp(repo.created),
        "private": repo.private,
        "gated": repo.gated,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": _tags(card),
        "cardData": card,
        "siblings": siblings,
    }
    if repo.kind == "model":
        data |= {key: card[key] for key in ("pipeline_tag", "library_name", "model-index") if key in card}
    if repo.kind == "space":
        data["sdk"] = repo.sdk
    if wanted := call.query.get("expand"):
        data["evalResults"] = [
            entry
            for path in sorted(commit.tree)
            if re.fullmatch(r"\.eval_results/[^/]+\.yaml", path)
            for entry in yaml.safe_load(repo.text(commit, path)) or []
        ]
        data = {key: value for key, value in data.items() if key in ("id", *wanted)}
    return answer({"_id": hashlib.sha1(repo.id.encode()).hexdigest()[:24], **data})


def _sibling(path: str, file: File, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": path}
    sibling = {"rfilename": path, "blobId": file.oid, "size": file.size}
    if file.sha256:
        size = len(git.pointer(file.sha256, file.size))
        sibling["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": size}
    return sibling


def _tags(card: dict[str, Any]) -> list[str]:
    """Return a card's metadata as the Hub presents it."""

    def listed(key: str) -> list[str]:
        value = card.get(key) or []
        return [str(v) for v in (value if isinstance(value, list) else [value])]

    return [
        *listed("tags"),
        *(f"dataset:{name}" for name in listed("datasets")),
        *listed("language"),
        *(f"base_model:{name}" for name in listed("base_model")),
        *(f"license:{name}" for name in listed("license")),
        "region:us",
    ]


def front_matter(text: str) -> Any:
    """Return the YAML at the head of a card, None without one; refuse invalid YAML."""
    match = re.match(r"\s*---\r?\n(.*?)\r?\n---\s*(?:\n|$)", text, re.DOTALL)
    try:
        return yaml.safe_load(match.group(1)) if match else None
    except yaml.YAMLError as error:
        raise HubError(400, f"Invalid YAML: {error}") from error


# Uploading


@route("POST", "/api/validate-yaml")
def validate_yaml(call: Call) -> Reply:
    errors, warnings = [], []
    try:
        front = front_matter(str(call.json().get("content", "")))
        if not front:
            warnings.append({"message": "empty or missing yaml metadata in repo card"})
        elif not isinstance(front, dict):
            errors.append({"message": "metadata must be an object"})
    except HubError as refusal:
        errors.append({"message": refusal.message})
    return answer({"errors": errors, "warnings": warnings}, 400 if errors else 200)


def _require_push(
    call: Call,
    repo: Repo,
    revision: str,
    refusal: str = "Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request",
) -> Caller:
    """Return the committer: writers anywhere, others to a new pull request or their own."""
    if call.flag("create_pr"):
        return call.hub.require_login(call.caller)
    ref = repo.branch(revision)
    caller = call.caller
    if caller and ref.startswith("refs/pr/") and repo.discussion(int(ref.rpartition("/")[2])).author == caller.name:
        return call.hub.require_login(caller)
    return call.hub.require_write(repo, caller, refusal)


@route("POST", f"{_API}/preupload/{_REV}")
def preupload(call: Call) -> Reply:
    repo, revision, wanted = call.repo, call.part("rev"), call.json()
    _require_push(call, repo, revision)
    commit = repo.commit(revision)
    attributes = repo.text(commit, ".gitattributes")
    gitignore = wanted.get("gitIgnore") or repo.text(commit, ".gitignore")
    files = []
    for file in wanted["files"]:
        path, present = file["path"], commit.tree.get(file["path"])
        large = git.is_large(path, file["size"], base64.b64decode(file.get("sample", "")), attributes)
        ignored = git.is_ignored(path, gitignore)
        entry = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": ignored}
        files.append({**entry, **({"oid": present.etag} if present else {})})
    return answer({"files": files, "commitOid": commit.oid})


@route("POST", rf"{_FILES}\.git/info/lfs/objects/batch")
def lfs_batch(call: Call) -> Reply:
    repo, wanted = call.repo, call.json()
    if ref := wanted.get("ref"):
        _require_push(call, repo, ref["name"], "Authorization error.")
    else:
        # For a pull request the client omits the branch, and readers may upload.
        call.hub.require_login(call.caller)
    if wanted.get("operation") != "upload" or wanted.get("hash_algo", "sha256") != "sha256":
        raise HubError(422, "Only uploads, and only by sha256")
    objects = []
    for entry in wanted["objects"]:
        oid, size = entry["oid"], entry["size"]
        objects.append({"oid": oid, "size": size})
        if oid not in repo.large:
            verify = f"{call.endpoint}/{PREFIXES[repo.kind]}{repo.id}.git/info/lfs/verify"
            upload = _signed(call, repo, oid, "PUT")
            objects[-1] |= {"authenticated": True, "actions": {"upload": {"href": upload}, "verify": {"href": verify}}}
    reply = answer({"transfer": "basic", "objects": objects})
    reply.headers["Content-Type"] = "application/vnd.git-lfs+json"
    return reply


@route("POST", rf"{_FILES}\.git/info/lfs/verify")
def lfs_verify(call: Call) -> Reply:
    """Accept a large file only if it was sent completely."""
    repo, wanted = call.repo, call.json()
    call.hub.require_login(call.caller)
    content = repo.sent.pop(wanted["oid"], None)
    if content is None and wanted["oid"] not in repo.large:
        raise HubError(404, "LFS object not found")
    if content is not None:
        if len(content) != wanted["size"] or hashlib.sha256(content).hexdigest() != wanted["oid"]:
            raise HubError(422, "The size or sha256 of the LFS object is not the announced one")
        repo.large[wanted["oid"]] = content
    return answer({})


@route("POST", f"{_API}/commit/{_REV}")
def commit(call: Call) -> Reply:
    repo, revision = call.repo, call.part("rev")
    caller = _require_push(call, repo, revision)
    header, operations = _operations(call.body)
    found: dict[str, Any] = {}
    if call.flag("create_pr"):
        made, discussion = repo.push_as_pull_request(revision, header, operations, caller.name)
        found["pullRequestUrl"] = f"{call.address(repo)}/discussions/{discussion.num}"
    else:
        made = repo.push(revision, header, operations, caller.name)
    return answer(
        {"success": True, "commitUrl": f"{call.address(repo)}/commit/{made.oid}", "commitOid": made.oid, **found}
    )


def _operations(body: bytes) -> tuple[dict[str, Any], list[Operation]]:
    """Return the header line and the other lines of a commit."""
    try:
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        pairs = [(str(line["key"]), dict(line["value"])) for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise HubError(400, f"Invalid NDJSON: {error}") from error
    if not pairs or pairs[0][0] != "header" or any(key == "header" for key, _ in pairs[1:]):
        raise HubError(400, "The first line, and only it, must be the header")
    return pairs[0][1], pairs[1:]


# The storage of large files: another origin, signed addresses, no tokens


def _signed(call: Call, repo: Repo, sha256: str, method: str) -> str:
    """Return a signed address at which one large file can be read or written without a token."""
    signature = secrets.token_hex(16)
    call.hub.grants[signature] = (repo, sha256, method)
    return f"{call.storage}/storage/{sha256}?X-Amz-Signature={signature}"


@route("PUT", "/storage/(?P<oid>[0-9a-f]{64})")
@route("GET", "/storage/(?P<oid>[0-9a-f]{64})")
def storage(call: Call) -> Reply:
    method = "GET" if call.method == "HEAD" else call.method
    repo, oid, allowed = call.hub.grants.get(call.query.get("X-Amz-Signature", [""])[0], (None, "", ""))
    if repo is None or (oid, allowed) != (call.part("oid"), method):
        return Reply(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>", {"Content-Type": "application/xml"})
    if method == "PUT":
        # As in a bucket: any content is stored; `verify` checks it.
        repo.sent[oid] = call.body
        return Reply(200, headers={"ETag": f'"{hashlib.md5(call.body).hexdigest()}"'})
    return _content(call, repo.large[oid], {"ETag": f'"{oid}"'})


# Reading


@route("GET", f"{_FILES}/resolve/{_REV}/(?P<path>.+)")
def resolve(call: Call) -> Reply:
    repo, path = call.repo, call.part("path")
    call.hub.require_files(repo, call.caller)
    commit = repo.commit(call.part("rev"))
    file = commit.tree.get(path)
    if file is None:
        raise HubError(404, "Entry not found", "EntryNotFound", X_Repo_Commit=commit.oid)
    name = path.rpartition("/")[2]
    plain = name.encode("ascii", "replace").decode().replace('"', "'")
    headers = {
        "X-Repo-Commit": commit.oid,
        "ETag": f'"{file.etag}"',
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(name)}; filename=\"{plain}\";",
    }
    if file.sha256 is None:
        return _content(call, repo.content(file), headers)
    location = _signed(call, repo, file.sha256, "GET")
    linked = {"X-Linked-Size": str(file.size), "X-Linked-Etag": headers["ETag"], "Location": location}
    return Reply(302, f"Found. Redirecting to {location}".encode(), {**headers, **linked, "Content-Type": "text/plain"})


def _content(call: Call, content: bytes, headers: dict[str, str]) -> Reply:
    """Return a file, or the part in the Range header."""
    headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers}
    wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", call.headers.get("range", ""))
    if wanted is None or wanted.groups() == ("", ""):
        return Reply(200, content, headers)
    first, last = wanted.groups()
    start = int(first) if first else max(0, len(content) - int(last))
    end = min(int(last), len(content) - 1) if first and last else len(content) - 1
    if start > end:
        return Reply(416, b"", {**headers, "Content-Range": f"bytes */{len(content)}"})
    return Reply(206, content[start : end + 1], {**headers, "Content-Range": f"bytes {start}-{end}/{len(content)}"})


def _entry(repo: Repo, commit: Commit, path: str, entry: File | Folder, expand: bool) -> dict[str, Any]:
    """Return a file or folder as tree and paths-info describe it."""
    if isinstance(entry, Folder):
        item: dict[str, Any] = {"type": "directory", "oid": entry.oid, "size": 0, "path": path}
    else:
        item = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
        if entry.sha256:
            size = len(git.pointer(entry.sha256, entry.size))
            item["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": size}
    if expand:
        change = git.last_change(repo.commits, commit, path)
        item["lastCommit"] = {"id": change.oid, "title": change.title, "date": stamp(change.date)}
    return item


@route("GET", f"{_API}/tree/{_REV}(?:/(?P<path>.+))?")
def tree(call: Call) -> Reply:
    repo, expand = call.repo, call.flag("expand")
    commit = repo.commit(call.part("rev"))
    entries = git.listing(commit.tree, call.part("path").strip("/"), call.flag("recursive"))
    items = [_entry(repo, commit, path, entry, expand) for path, entry in entries]
    return call.page(items, min(call.page_size, 50) if expand else call.page_size)


@route("POST", f"{_API}/paths-info/{_REV}")
def paths_info(call: Call) -> Reply:
    repo = call.repo
    commit = repo.commit(call.part("rev"))
    if "json" in call.headers.get("content-type", ""):
        wanted = call.json()
        paths, expand = wanted["paths"], bool(wanted.get("expand"))
    else:
        form = parse_qs(call.body.decode())
        paths, expand = form.get("paths", []), form.get("expand", ["false"])[0].lower() in ("1", "true")
    folders = git.folder_ids(commit.tree)
    items = []
    for path in paths:
        if path in commit.tree:
            items.append(_entry(repo, commit, path, commit.tree[path], expand))
        elif path.strip("/") and path.strip("/") in folders:
            items.append(_entry(repo, commit, path.strip("/"), Folder(path, folders[path.strip("/")]), expand))
    return answer(items)


@route("GET", f"{_API}/refs")
def refs(call: Call) -> Reply:
    repo = call.repo

    def under(prefix: str) -> list[dict[str, str]]:
        found = sorted(ref for ref in repo.refs if ref.startswith(prefix))
        return [{"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": repo.refs[ref]} for ref in found]

    data = {"branches": under("refs/heads/"), "converts": [], "tags": under("refs/tags/")}
    if call.flag("include_prs"):
        data["pullRequests"] = [{**ref, "name": ref["ref"]} for ref in under("refs/pr/")]
    return answer(data)


@route("GET", f"{_API}/commits/{_REV}")
def commits(call: Call) -> Reply:
    repo = call.repo
    items = [
        {
            "id": commit.oid,
            "title": commit.title,
            "message": commit.description,
            "authors": [{"user": commit.author}],
            "date": stamp(commit.date),
        }
        for commit in repo.history(repo.commit(call.part("rev")))
    ]
    return call.page(items, call.page_size)


@route("POST", f"{_API}/(?P<ref>tag|branch)/{_REV}")
def new_ref(call: Call) -> Reply:
    """Create a tag, with the revision in the path and its name in the body, or a branch, the other way round."""
    repo, wanted = call.repo, call.json()
    call.hub.require_write(repo, call.caller)
    tag = call.match["ref"] == "tag"
    name = wanted["tag"] if tag else call.part("rev")
    target = repo.commit(call.part("rev") if tag else wanted.get("startingPoint") or "main")
    ref = f"refs/tags/{name}" if tag else f"refs/heads/{name}"
    if ref in repo.refs:
        raise HubError(409, f"Reference already exists: {ref}")
    repo.refs[ref] = target.oid
    return answer({})


@route("DELETE", f"{_API}/(?P<ref>tag|branch)/{_REV}")
def delete_ref(call: Call) -> Reply:
    repo = call.repo
    call.hub.require_write(repo, call.caller)
    ref = f"refs/tags/{call.part('rev')}" if call.match["ref"] == "tag" else f"refs/heads/{call.part('rev')}"
    if ref == "refs/heads/main":
        raise HubError(403, "The branch main cannot be deleted")
    if ref not in repo.refs:
        raise HubError(404, f"Reference not found: {ref}", "RevisionNotFound")
    del repo.refs[ref]
    return answer({})


# Discussions and pull requests


def _overview(repo: Repo, discussion: Discussion) -> dict[str, Any]:
    return {
        "num": discussion.num,
        "title": discussion.title,
        "status": discussion.status,
        "author": {"name": discussion.author},
        "createdAt": stamp(discussion.created),
        "isPullRequest": discussion.base is not None,
        "repo": {"name": repo.id, "type": repo.kind},
    }


@route("GET", f"{_API}/discussions")
def discussions(call: Call) -> Reply:
    repo = call.repo
    kind, status = call.query.get("type", ["all"])[0], call.query.get("status", ["all"])[0]
    author = call.query.get("author", [None])[0]
    found = [
        _overview(repo, discussion)
        for discussion in reversed(repo.discussions)
        if (kind == "all" or (kind == "pull_request") == (discussion.base is not None))
        and (status == "all" or (status == "open") == (discussion.status in ("open", "draft")))
        and author in (None, discussion.author)
    ]
    start = int(call.query.get("p", ["0"])[0]) * call.page_size
    return answer({"discussions": found[start : start + call.page_size], "count": len(found), "start": start})


@route("POST", f"{_API}/discussions")
def discuss(call: Call) -> Reply:
    repo, wanted = call.repo, call.json()
    caller = call.hub.require_login(call.caller)
    if wanted.get("pullRequest"):
        discussion = repo.open_draft(wanted["title"], wanted["description"], caller.name)
    else:
        discussion = repo.discuss(wanted["title"], wanted["description"], caller.name, "open")
    return answer({"num": discussion.num, "url": f"{call.address(repo)}/discussions/{discussion.num}"})


@route("GET", _TALK)
def discussion(call: Call) -> Reply:
    repo = call.repo
    found = repo.discussion(int(call.part("num")))
    data = {**_overview(repo, found), "events": found.events}
    if found.base is not None:
        data["changes"] = {"base": f"refs/heads/{found.target}"}
        if found.merge_commit:
            data["changes"]["mergeCommitId"] = found.merge_commit
        data["filesWithConflicts"] = [] if found.merge_commit else repo.would_merge(found)[1]
        if call.flag("diff"):
            base, head = repo.commits[found.base], repo.commits[repo.refs[found.ref]]
            data["diff"] = git.text_diff(base.tree, head.tree, repo.blobs)
    return answer(data)


@route("POST", f"{_TALK}/comment")
def comment(call: Call) -> Reply:
    caller = call.hub.require_login(call.caller)
    found = call.repo.discussion(int(call.part("num")))
    return answer({"newMessage": found.comment(caller.name, call.json()["comment"])})


@route("POST", f"{_TALK}/(?P<what>status|title)")
def change_discussion(call: Call) -> Reply:
    """Refuse all but the repository's writers and the discussion's author."""
    repo, wanted = call.repo, call.json()
    found = repo.discussion(int(call.part("num")))
    caller = call.hub.require_login(call.caller)
    if caller.name != found.author:
        call.hub.require_write(repo, caller)
    if call.match["what"] == "title":
        event = found.add_event("title-change", caller.name, {"from": found.title, "to": wanted["title"]})
        found.title = wanted["title"]
        return answer({"newTitle": event})
    if found.status == "merged":
        raise HubError(409, "This pull request is merged")
    if wanted.get("comment"):
        found.comment(caller.name, wanted["comment"])
    found.status = wanted["status"]
    return answer({"newStatus": found.add_event("status-change", caller.name, {"status": found.status})})


@route("POST", f"{_TALK}/merge")
def merge(call: Call) -> Reply:
    repo = call.repo
    caller = call.hub.require_write(repo, call.caller)
    found = repo.discussion(int(call.part("num")))
    repo.merge(found, caller.name)
    if text := call.json().get("comment"):
        found.comment(caller.name, text)
    return answer({})


@route("GET", "/api/telemetry/.*")
def telemetry(call: Call) -> Reply:
    return Reply()


@route("GET", f"{_API}/xet-(?:read|write)-token/{_REV}")
def xet_token(call: Call) -> Reply:
    raise HubError(404, "Xet is not spoken here: set HF_HUB_DISABLE_XET=1")
