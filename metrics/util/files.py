"""The cache folder, atomic writes, readers of text files, and content hashes."""

import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from metrics.util.errors import InputError

# Bytes of a file that is read whole; the texts of a training corpus take a tenth.
MAX_BYTES = 1_000_000_000
_CHUNK = 1_000_000


def cache_dir() -> Path:
    """Return the folder of all caches: SRO_HOME, by default `sro` in the user's cache folder."""
    if "SRO_HOME" in os.environ:
        return Path(os.environ["SRO_HOME"]).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "sro"


def require_writable(path: Path) -> None:
    """Raise an `InputError`, before the work that produces its content, if `path` cannot be written as a file."""
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
    """Yield a temporary path beside `path`; rename it to `path` at the block's end, or delete it after an error."""
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
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", ignore_cleanup_errors=True) as beside:
        temporary = Path(beside, "new")
        temporary.mkdir()
        yield temporary
        temporary.chmod(0o755)
        if path.exists():
            os.replace(path, Path(beside, "old"))
        os.replace(temporary, path)


def remove_folder(path: Path) -> None:
    """Delete a folder, if it exists. A kill leaves it untouched, or for `remove_temporaries` to delete."""
    if path.exists():
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.old.") as beside:
            os.replace(path, Path(beside, path.name))


def remove_temporaries(folder: Path) -> None:
    """Delete what killed processes left of `atomic_file`, `atomic_folder` and `remove_folder` below `folder`."""
    for path in sorted(folder.rglob(".*.*")):
        if re.fullmatch(r"\..+\.[a-z0-9_]{8}(\.\w+)?", path.name) and path.exists():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_generated(path: Path, command: str, text: str) -> None:
    """Replace the part of a Markdown file that `command` writes; the text around it stays. A new file is that part.

    Raises:
        InputError: The file has no such part, or the text before or after it cannot be told.
    """
    begin, end = f"<!-- {command} writes from here -->\n", "<!-- to here -->\n"
    part = f"{begin}\n{text.strip()}\n\n{end}"
    if path.exists():
        before, found, rest = read_text(path).partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise InputError(f"{path}: has no lines {begin.strip()} and {end.strip()}, between which to write")
        part = before + part + after
    write_text(path, part)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, indented and with sorted keys."""
    text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    # UTF-8 cannot encode lone surrogates; JSON can, as \udxxx.
    write_text(path, text.encode("utf-8", "backslashreplace").decode("utf-8"))


def read_lines(path: Path) -> list[str]:
    """Read the lines of a UTF-8 file; only LF and CRLF end a line, as in editors. Errors are those of `read_text`."""
    lines = read_text(path).split("\n")
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]


def read_text(path: Path) -> str:
    """Read a UTF-8 file without its byte order mark; raise an `InputError` if it is missing or has another encoding."""
    data = read_bytes(path)
    if data.startswith(b"version https://git-lfs.github.com/spec/"):
        raise InputError(f"{path}: a pointer of Git LFS in place of the file; fetch it with git lfs pull")
    # Without its mark, UTF-16 may be valid UTF-8: of blanks and Latin letters one byte is zero, always on one side.
    halves = data[::2], data[1::2]
    if any(0 not in one and 8 * other.count(0) > len(other) for one, other in (halves, halves[::-1])):
        raise InputError(f"{path}: UTF-16, not UTF-8; convert the file to UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; convert the file to UTF-8") from None


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """Read a file, or a pipe such as a shell's `<(command)`.

    Args:
        limit: The most bytes; of a larger file none is read.

    Raises:
        InputError: The file is missing, a device or too large, cannot be read, or is a pipe into which nothing writes.
    """
    require_file(path, limit)
    data = bytearray()
    try:
        # A FIFO without a writer would never open.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            os.set_blocking(file.fileno(), True)
            # The sizes of pipes, and of files that the system makes up, are unknown.
            while len(data) <= limit and (chunk := file.read(_CHUNK)):
                data += chunk
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if len(data) > limit:
        raise InputError(f"{path}: more than {limit:,} bytes, which is the limit")
    if not data and path.is_fifo():
        raise InputError(f"{path}: a FIFO into which no program writes; give a file")
    return bytes(data)


def require_file(path: Path, limit: int = MAX_BYTES) -> None:
    """Raise an InputError unless `path` is a file of at most `limit` bytes, or a pipe.

    A recipe, a profile or a folder of somebody else may name /dev/zero, which never ends, or a file without end.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if stat.S_ISDIR(found.st_mode):
        raise InputError(f"{path}: no such file")
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISFIFO(found.st_mode):
        raise InputError(f"{path}: a device, not a file")
    if found.st_size > limit:
        raise InputError(f"{path}: {found.st_size:,} bytes; the limit is {limit:,}")


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, which may be as large as the weights of a model."""
    require_file(path, 1 << 63)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_folder(folder: Path) -> str:
    """Return a hash of the names and contents of all files below `folder`, without hidden files and Markdown.

    A model card that reports scores must not change the revision that they were measured on.
    """
    names = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".md"]
    visible = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    return content_hash([[name.as_posix(), sha256_file(folder / name)] for name in visible])


def content_hash(value: Any) -> str:
    """Return the SHA-256 of a JSON value, independent of the order of keys."""
    return sha256_bytes(json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii"))


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


def read_json_lines(path: Path, is_written: Callable[[Any], bool]) -> list[Any]:
    """Read the values that `append_json_lines` wrote.

    Args:
        path: The file; it need not exist.
        is_written: Whether the program can have written a value. Other lines are passed over, as are empty lines and
            those that a kill cut off: what they stood for is done again.
    """
    values = []
    for line in path.read_text("utf-8", errors="replace").split("\n") if path.is_file() else ():
        # RecursionError: a line of thousands of brackets.
        with suppress(ValueError, RecursionError):
            value = json.loads(line)
            if is_written(value):
                values.append(value)
    return values


def is_duration(value: Any) -> bool:
    """Whether a value from a file can be a number of seconds."""
    return type(value) in (int, float) and 0 <= value < float("inf")


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
