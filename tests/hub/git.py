"""Content as git and git-lfs address it: blobs, trees and commits by sha1, large files by sha256. No HTTP, no names.

A commit keeps its whole tree as one dictionary from path to file. That is not how git stores it, but the ids are those
that git would compute, so that a client which hashes a file itself comes to the same answer.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatch
from typing import Any

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n"
# What the Hub writes into a new repository: these files are stored as LFS.
_LARGE = (
    "7z arrow bin bz2 ckpt ftz gz h5 joblib model msgpack npy npz onnx parquet pb pickle pkl pt pth safetensors tar "
    "tgz xz zip zst"
)
_MEDIA = "avif bmp flac gif jpeg jpg mp3 mp4 ogg png tiff wav webm webp"
LARGE_TEXT = 10 * 1024 * 1024


class HubError(Exception):
    """A refusal of the Hub: HTTP status, X-Error-Code if it has one, message, and further headers."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(frozen=True)
class File:
    """A file in a tree. `oid` is that of its git blob, which for LFS is the pointer; only then `sha256` is set."""

    oid: str
    size: int
    sha256: str | None = None

    @property
    def etag(self) -> str:
        return self.sha256 or self.oid


Tree = dict[str, File]
Operation = tuple[str, dict[str, Any]]  # a line of a commit: its key and its value


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str | None
    tree: Tree
    title: str
    description: str
    author: str
    date: datetime


@dataclass(frozen=True)
class Folder:
    path: str
    oid: str


def git_id(kind: str, content: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """Return the LFS pointer of a large file, as git stores it."""
    return POINTER.format(sha256, size).encode()


def new_commit(parent: str | None, tree: Tree, title: str, description: str, author: str, date: datetime) -> Commit:
    who = f"{author} <{author}@users.noreply.example> {int(date.timestamp())} +0000"
    lines = [f"tree {folder_ids(tree)['']}", *([f"parent {parent}"] if parent else []), f"author {who}"]
    text = "\n".join([*lines, f"committer {who}", "", title, *(["", description] if description else [])]) + "\n"
    return Commit(git_id("commit", text.encode()), parent, tree, title, description, author, date)


def folder_ids(tree: Tree) -> dict[str, str]:
    """Return the git id of every folder by path; the root's path is empty."""
    entries: dict[str, list[tuple[str, str, str]]] = {"": []}
    for path, file in tree.items():
        folder, _, name = path.rpartition("/")
        entries.setdefault(folder, []).append((name, "100644", file.oid))
        for parent in _parents(path):
            entries.setdefault(parent, [])
    ids = {}
    for folder in sorted(entries, key=lambda path: (-path.count("/") - bool(path), path)):
        # Git sorts a folder as if its name ended with a slash.
        inside = sorted(entries[folder], key=lambda e: e[0] + "/" * (e[1] == "40000"))
        ids[folder] = git_id("tree", b"".join(f"{m} {n}\0".encode() + bytes.fromhex(oid) for n, m, oid in inside))
        if folder:
            parent, _, name = folder.rpartition("/")
            entries[parent].append((name, "40000", ids[folder]))
    return ids


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]


def listing(tree: Tree, folder: str, recursive: bool) -> list[tuple[str, File | Folder]]:
    """Return the files and folders in a folder, sorted by path; with `recursive`, also all below."""
    prefix = f"{folder}/" if folder else ""
    if folder and not any(path.startswith(prefix) for path in tree):
        raise HubError(404, f"{folder} does not exist on this revision", "EntryNotFound")
    found: list[tuple[str, File | Folder]] = [(p, f) for p, f in tree.items() if p.startswith(prefix)]
    found += [(p, Folder(p, oid)) for p, oid in folder_ids(tree).items() if p and p.startswith(prefix)]
    return sorted((p, entry) for p, entry in found if recursive or "/" not in p.removeprefix(prefix))


def changed(old: Tree, new: Tree) -> set[str]:
    """Return the paths that were added, removed or replaced."""
    return {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}


def merged(base: Tree, ours: Tree, theirs: Tree) -> tuple[Tree, list[str]]:
    """Merge: return `ours` with the changes of `theirs` since `base`, and the paths in conflict."""
    conflicts, tree = [], dict(ours)
    for path in sorted(changed(base, theirs)):
        if ours.get(path) not in (base.get(path), theirs.get(path)):
            conflicts.append(path)
        elif path in theirs:
            tree[path] = theirs[path]
        else:
            tree.pop(path, None)
    return tree, conflicts


def text_diff(old: Tree, new: Tree, blobs: dict[str, bytes]) -> str:
    """Return a unified diff, with pointers for large files, as git does."""

    def lines(tree: Tree, path: str) -> list[str]:
        content = blobs[tree[path].oid] if path in tree else b""
        return content.decode("utf-8", "replace").splitlines(keepends=True)

    out: list[str] = []
    for path in sorted(changed(old, new)):
        out.append(f"diff --git a/{path} b/{path}\n")
        out += difflib.unified_diff(lines(old, path), lines(new, path), f"a/{path}", f"b/{path}")
    return "".join(out)


def apply(tree: Tree, operations: list[Operation], blobs: dict[str, bytes], large: dict[str, bytes]) -> Tree:
    """Return a new tree and add new contents to `blobs`; refuse paths outside, missing paths, missing large files."""
    tree = dict(tree)
    absent = []
    for key, value in operations:
        path = _checked_path(str(value.get("path", "")))
        if key == "file":
            content = _decoded(value)
            tree[path] = File(git_id("blob", content), len(content))
            blobs[tree[path].oid] = content
        elif key == "lfsFile":
            sha256 = value["oid"]
            # A copy within the repository has no size.
            if sha256 not in large or value.get("size", len(large[sha256])) != len(large[sha256]):
                absent.append(path)
                continue
            content = pointer(sha256, len(large[sha256]))
            tree[path] = File(git_id("blob", content), len(large[sha256]), sha256)
            blobs[tree[path].oid] = content
        elif key == "deletedFile":
            if path not in tree:
                raise HubError(404, "A file with this name doesn't exist", "EntryNotFound")
            del tree[path]
        elif key == "deletedFolder":
            inside = [p for p in tree if p.startswith(path + "/")]
            if not inside:
                raise HubError(404, "A folder with this name doesn't exist", "EntryNotFound")
            for p in inside:
                del tree[p]
        else:
            raise HubError(400, f"Unknown operation: {key}")
    if absent:
        raise HubError(
            400,
            "Your push was rejected because an LFS pointer pointed to a file that does not exist. For instance, this "
            f"can happen if you used git push --no-verify to push your changes. Offending file: - {' - '.join(absent)}",
        )
    for path in tree:
        if any(parent in tree for parent in _parents(path)):
            raise HubError(400, f"{path}: a file stands where a folder should be")
    return tree


def _checked_path(path: str) -> str:
    path = path.rstrip("/")
    parts = path.split("/")
    if not path or any(part in ("", ".", "..", ".git") for part in parts):
        raise HubError(400, f"Invalid path: {path!r}")
    return path


def _decoded(value: dict[str, Any]) -> bytes:
    content = str(value.get("content", ""))
    if value.get("encoding") != "base64":
        return content.encode()
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise HubError(400, f"Content is not base64: {error}") from error


def gitattributes(kind: str) -> str:
    """Return the .gitattributes of a new repository."""
    endings = (_LARGE + (" " + _MEDIA if kind == "dataset" else "")).split()
    return "".join(f"*.{ending} filter=lfs diff=lfs merge=lfs -text\n" for ending in endings)


def is_large(path: str, size: int, sample: bytes, attributes: str) -> bool:
    """Return whether a file is stored as LFS: by name, by size, or because it is binary."""
    patterns = [line.split()[0] for line in attributes.splitlines() if "filter=lfs" in line.split()]
    named = any(_matches(path, pattern) for pattern in patterns)
    return named or size > LARGE_TEXT or b"\0" in sample


def is_ignored(path: str, gitignore: str) -> bool:
    """Return whether .gitignore matches the file or a folder above it; the last match decides, `!` negates."""
    ignored = False
    for line in gitignore.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        if any(_matches(part, pattern.lstrip("!").strip("/")) for part in [*_parents(path), path]):
            ignored = not pattern.startswith("!")
    return ignored


def _matches(path: str, pattern: str) -> bool:
    """Match as git does: a pattern without a slash against the name, one with a slash against the path."""
    return fnmatch(path if "/" in pattern else path.rpartition("/")[2], pattern)


def history(commits: dict[str, Commit], head: Commit) -> Iterator[Commit]:
    """Yield a commit and its ancestors, newest first."""
    commit: Commit | None = head
    while commit is not None:
        yield commit
        commit = commits[commit.parent] if commit.parent else None


def last_change(commits: dict[str, Commit], head: Commit, path: str) -> Commit:
    """Return the last commit that changed a file or folder."""

    def content(commit: Commit) -> object:
        return commit.tree.get(path) or folder_ids(commit.tree).get(path)

    latest, present = head, content(head)
    for commit in history(commits, head):
        if content(commit) != present:
            break
        latest = commit
    return latest
