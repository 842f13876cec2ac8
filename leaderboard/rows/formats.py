"""JSON as bytes, read within size limits; errors begin with the name of the file, `where`."""

from typing import Any

from metrics.util.errors import InputError
from metrics.util.nesting import load_json

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
        return load_json(data)
    except ValueError as error:
        raise InputError(f"{where}: not JSON ({str(error)[:100]})") from None
