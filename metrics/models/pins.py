"""Pinned Hub commits of scoring models: scores stay the same when a branch on the Hub moves.

`pins.json` in the cache folder holds the commits. Copy the file to score alike on another machine; delete it to follow
the branches again.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from metrics.models.builtin import BUILT_IN
from metrics.models.resolve import ModelRef, local_path
from metrics.util.errors import InputError
from metrics.util.files import cache_dir, read_text, write_json

_COMMIT = re.compile(r"^[0-9a-f]{40}$", re.ASCII)


def resolve_pinned(resolve: Callable[[str, str | None], ModelRef], name: str, revision: str | None) -> ModelRef:
    """Resolve a model at the commit to which its branch pointed when it was first resolved.

    Args:
        resolve: `resolve_model` or `resolve_config`.
        name: The model's name. Built-in models and local folders need no pin.
        revision: A branch, tag or commit on the Hub; None for the default branch.

    Raises:
        InputError: As `resolve`, or `pins.json` is damaged.
    """
    if _COMMIT.match(revision or "") or name in BUILT_IN or local_path(name).exists():
        return resolve(name, revision)
    path, key = cache_dir() / "pins.json", f"{name}@{revision or 'main'}"
    pins = _read_pins(path)
    ref = resolve(name, pins.get(key, revision))
    if key not in pins:
        # Another process may have added pins in the meantime.
        write_json(path, {**_read_pins(path), key: ref.revision})
        print(f"{key}: pinned to {ref.revision} in {path}", file=sys.stderr)
    return ref


def _read_pins(path: Path) -> dict[str, str]:
    try:
        pins = json.loads(read_text(path)) if path.is_file() else {}
    except ValueError:
        pins = None
    if not isinstance(pins, dict) or not all(isinstance(pin, str) and _COMMIT.match(pin) for pin in pins.values()):
        raise InputError(f"{path}: not a list of pinned commits; delete it to pin anew")
    return pins
