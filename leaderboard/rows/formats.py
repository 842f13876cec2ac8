"""JSON and Parquet as bytes, read within size limits; errors begin with the name of the file, `where`."""

import json
from io import BytesIO
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from metrics.util.errors import InputError

# 10,000 rows take far less. A few kilobytes of Parquet can unpack to gigabytes.
MAX_UNPACKED = 512_000_000


def read_json(data: bytes, where: str) -> Any:
    """Return the value in the bytes of a JSON file, or raise InputError if they are not JSON or nested too deeply."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({str(error)[:100]})") from None


def read_parquet(data: bytes, where: str, limit: int = MAX_UNPACKED) -> pa.Table:
    """Return the table in a Parquet file; a damaged file, or one of more than `limit` bytes, raises InputError."""
    try:
        file = parquet.ParquetFile(BytesIO(data), pre_buffer=False)
        size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
        if size > limit:
            raise InputError(f"{where}: {size:,} bytes unpacked; the limit is {limit:,}")
        # One thread: a process that ends right after pyarrow's threads have read is sometimes aborted.
        return file.read(use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{where}: not a Parquet file ({' '.join(str(error).split())[:100]})") from None


def read_records(data: bytes, where: str, limit: int = MAX_UNPACKED) -> list[dict[str, Any]]:
    """Return the rows of a Parquet file as dictionaries; arguments and errors as in `read_parquet`."""
    try:
        return list(read_parquet(data, where, limit).to_pylist())
    except ValueError as error:
        raise InputError(f"{where}: damaged ({str(error)[:100]})") from None


def write_parquet(table: pa.Table) -> bytes:
    """Return a table as a zstd-compressed Parquet file."""
    buffer = BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
