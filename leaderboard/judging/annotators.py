"""Ids of annotators: salted hashes of their names. The salt stays on this machine and is part of nothing published."""

import hashlib
import hmac
import os
import re
import secrets
import tempfile
import unicodedata
from contextlib import suppress
from pathlib import Path

from metrics.util.characters import require_name
from metrics.util.errors import InputError
from metrics.util.files import cache_dir

MAX_NAME = 200
_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
_SALT_BYTES = 32


def salt_file() -> Path:
    """Return the path of the salt, in the folder SRO_HOME."""
    return cache_dir() / "annotators.salt"


def annotator_id(name: str) -> str:
    """Return what stands for an annotator in files: 16 hexadecimal digits, the same for the same name and salt.

    Upper and lower case and blanks make no difference, and an id stands for itself. The first call makes the salt.

    Raises:
        InputError: The name is empty or too long, or the salt cannot be read or written.
    """
    key = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    if not 0 < len(key) <= MAX_NAME:
        raise InputError(f"annotator: a name has 1 to {MAX_NAME} characters")
    try:
        require_name(key)
    except ValueError as error:
        raise InputError(f"annotator: {error}") from None
    if _ID.fullmatch(key):
        return key
    return hmac.new(_salt(), key.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:16]


def _salt() -> bytes:
    path = salt_file()
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Readable by its owner only. Of two processes that make one at once, the first wins.
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_hex(_SALT_BYTES))
            with suppress(FileExistsError):
                os.link(temporary, path)
            Path(temporary).unlink()
        salt = path.read_bytes().strip()
    except OSError as error:
        raise InputError(f"{path}: the salt of annotators' ids cannot be read or written ({error.strerror})") from None
    if len(salt) < _SALT_BYTES:
        raise InputError(f"{path}: no salt; restore it from a copy, or delete it, after which every name has a new id")
    return salt
