"""The cache folder, atomic writes, readers of text files, and content hashes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metrics.util.errors import InputError


def cache_dir() -> Path:
    """Return the folder of all caches: SRO_HOME, by default `sro` in the user's cache folder."""
    if "SRO_HOME" in os.environ:
        return Path(os.environ["SRO_HOME"]).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "sro"


def require_writable(path: Path) -> None:
    """Check, before the work that produces its content, that `path` can be written.

    Raises:
        InputError: The path is a folder, or the file system refuses a file there.
    """
    if path.is_dir():
        raise InputError(f"{path}: a folder; give the name of a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` at the end of the block, or delete it after an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Do the same as `atomic_file` for a folder, which replaces a folder that exists at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        temporary.chmod(0o755)
        old = _put_aside(path)
        os.replace(temporary, path)
        if old is not None:
            shutil.rmtree(old)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_folder(path: Path) -> None:
    """Delete a folder, if it exists. After a kill it is complete, or has the name of a temporary folder."""
    old = _put_aside(path)
    if old is not None:
        shutil.rmtree(old)


def _put_aside(path: Path) -> Path | None:
    """Move `path` into a temporary folder beside it, and return that; None if there is nothing to move."""
    if not path.exists():
        return None
    old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
    os.replace(path, old / path.name)
    return old


_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}(\.\w+)?")


def remove_temporaries(folder: Path) -> None:
    """Delete what killed processes left of `atomic_file`, `atomic_folder` and `remove_folder` below `folder`."""
    for path in sorted(folder.rglob(".*.*")):
        if _TEMPORARY.fullmatch(path.name) and path.exists():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, indented and with sorted keys."""
    text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    # UTF-8 cannot encode lone surrogates; JSON can, as \udxxx.
    write_text(path, text.encode("utf-8", "backslashreplace").decode("utf-8"))


def read_lines(path: Path) -> list[str]:
    """Read the lines of a UTF-8 file. Only LF and CRLF end a line, so that their number is what an editor shows.

    Raises:
        InputError: As `read_text`.
    """
    text = read_text(path)
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def read_text(path: Path) -> str:
    """Read a UTF-8 file without its byte order mark.

    Raises:
        InputError: There is no such file, or it has another encoding.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"{path}: no such file") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; convert the file to UTF-8") from None


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_folder(folder: Path) -> str:
    """Return a hash of the names and contents of all files below `folder`, without hidden files and Markdown.

    A model card that reports scores must not change the revision that they were measured on.
    """
    files = sorted(
        p
        for p in folder.rglob("*")
        if p.is_file() and p.suffix != ".md" and not any(part.startswith(".") for part in p.relative_to(folder).parts)
    )
    return content_hash([[p.relative_to(folder).as_posix(), sha256_file(p)] for p in files])


def content_hash(value: Any) -> str:
    """Return the SHA-256 of a JSON value, independent of the order of keys."""
    data = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return sha256_bytes(data.encode("ascii"))


@contextmanager
def append_json_lines(path: Path) -> Iterator[Callable[[Any], None]]:
    """Yield a function that appends a JSON object or array to `path` as a line, which survives a kill."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:

        def append(value: Any) -> None:
            # The leading line end separates this line from one that a killed run wrote in part.
            file.write("\n" + json.dumps(value) + "\n")
            file.flush()

        yield append


def read_json_lines(path: Path) -> list[Any]:
    """Read the values that `append_json_lines` wrote, without empty lines and those that a kill cut off."""
    values = []
    for line in path.read_text("utf-8", errors="replace").split("\n") if path.is_file() else ():
        try:
            values.append(json.loads(line))
        except ValueError:
            continue
    return values


def link_folder(source: Path, target: Path, exclude: Sequence[str] = ()) -> None:
    """Make `target` a folder with all files below `source`, except those with a name in `exclude`, linked or copied."""
    with atomic_folder(target) as folder:
        for path in sorted(p for p in source.rglob("*") if p.is_file() and p.name not in exclude):
            link_or_copy(path, folder / path.relative_to(source))


def link_or_copy(source: Path, target: Path) -> None:
    """Make the file `source` available as `target`: by a hard link if the file system allows it, else by a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
