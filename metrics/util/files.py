"""Files written whole or not at all, content hashes, and the cache folder."""

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
    """The folder of all caches: SRO_HOME, by default `sro` in the user's cache folder."""
    if "SRO_HOME" in os.environ:
        return Path(os.environ["SRO_HOME"]).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "sro"


def require_writable(path: Path) -> None:
    """Finds before the work whether its result can be written to `path`. Errors: a folder, a place that takes none."""
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
    """Gives a temporary name beside `path`; renamed to it when the block ends well, removed when it does not."""
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
    """Like `atomic_file` for a folder. A folder already at `path` is replaced."""
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
    """Removes a folder, if it is there, as one: a kill leaves it whole, or a temporary of another name."""
    old = _put_aside(path)
    if old is not None:
        shutil.rmtree(old)


def _put_aside(path: Path) -> Path | None:
    """A temporary folder beside `path` that has it in it from now on; None where nothing is there."""
    if not path.exists():
        return None
    old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
    os.replace(path, old / path.name)
    return old


_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}(\.\w+)?")


def remove_temporaries(folder: Path) -> None:
    """Removes what `atomic_file`, `atomic_folder`, `remove_folder` left anywhere in `folder` when they were killed."""
    for path in sorted(folder.rglob(".*.*")):
        if _TEMPORARY.fullmatch(path.name) and path.exists():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def write_text(path: Path, text: str) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    # What UTF-8 cannot hold, lone surrogates, becomes \udxxx, which is JSON's own spelling of it.
    write_text(path, text.encode("utf-8", "backslashreplace").decode("utf-8"))


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file without their line ends; only LF and CRLF end a line, a last LF adds none.

    Other Unicode line breaks inside a text stay in it, so that n is what an editor shows.
    Errors: a missing file, other encodings.
    """
    text = read_text(path)
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def read_text(path: Path) -> str:
    """The text of a UTF-8 file (a byte order mark is dropped). Errors: a missing file, other encodings."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"{path}: no such file") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; convert the file to UTF-8") from None


def sha256_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_folder(folder: Path) -> str:
    """One hash over the names and contents of all files below `folder` but hidden ones and Markdown.

    A model card that tells a model's scores must not change the revision they were measured on.
    """
    files = sorted(
        p
        for p in folder.rglob("*")
        if p.is_file() and p.suffix != ".md" and not any(part.startswith(".") for part in p.relative_to(folder).parts)
    )
    return content_hash([[p.relative_to(folder).as_posix(), sha256_file(p)] for p in files])


def content_hash(value: Any) -> str:
    """The SHA-256 of a JSON value, independent of the order of keys."""
    data = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return sha256_bytes(data.encode("ascii"))


@contextmanager
def append_json_lines(path: Path) -> Iterator[Callable[[Any], None]]:
    """Gives a function that adds a JSON object or array to `path` as a line of its own: it outlives a kill."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:

        def append(value: Any) -> None:
            # A leading line end keeps this record apart from one that a killed run left half-written.
            file.write("\n" + json.dumps(value) + "\n")
            file.flush()

        yield append


def read_json_lines(path: Path) -> list[Any]:
    """What `append_json_lines` left in `path`; lines that are empty, or torn by a kill, are passed over."""
    values = []
    for line in path.read_text("utf-8", errors="replace").split("\n") if path.is_file() else ():
        try:
            values.append(json.loads(line))
        except ValueError:
            continue
    return values


def link_files(source: Path, target: Path, leave: Sequence[str] = ()) -> None:
    """The files below the folder `source`, placed at the same names below `target`; not those named in `leave`."""
    for path in sorted(p for p in source.rglob("*") if p.is_file() and p.name not in leave):
        link_or_copy(path, target / path.relative_to(source))


def link_or_copy(source: Path, target: Path) -> None:
    """`source` under another name: a hard link where the file system allows it, else a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
