"""JSON as bytes, read within size limits; errors begin with the name of the file, `where`."""

import json
from typing import Any

from metrics.util.errors import InputError
from metrics.util.nesting import require_shallow

# The longest row is its recipe, of at most 200,000 characters.
MAX_JSON = 4_000_000


def read_json(data: bytes, where: str) -> Any:
    """Return the value in the bytes of a JSON file.

    Raises:
        InputError: The bytes are not JSON, too many, nested too deeply, hold NaN or infinity, or an object has a key
            twice, of which another program may read the other value.
    """
    if len(data) > MAX_JSON:
        raise InputError(f"{where}: {len(data):,} bytes; the limit is {MAX_JSON:,}")
    try:
        return require_shallow(json.loads(data, object_pairs_hook=_unique, parse_constant=_refuse))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({str(error)[:100]})") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(name for name in values if sum(key == name for key, _ in pairs) > 1)
        raise ValueError(f'the key "{twice[:40]}" twice')
    return values


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")
