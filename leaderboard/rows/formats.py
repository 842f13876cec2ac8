"""JSON and Parquet as bytes; what comes from outside is read within limits, and refused in one line."""

from __future__ import annotations

import json
from io import BytesIO
from typing import TYPE_CHECKING, Any

from metrics.util.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

# Far above what 10,000 rows take; Parquet of a few kilobytes can unpack to gigabytes.
MAX_UNPACKED = 512_000_000


def read_json(data: bytes, where: str) -> Any:
    """Errors: bytes that are no JSON, or nested too deeply to be meant."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({str(error)[:100]})") from None


def read_parquet(data: bytes, where: str, limit: int = MAX_UNPACKED) -> pa.Table:
    """Errors: bytes that are no Parquet, a damaged one, one that unpacks to more than `limit` bytes."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(BytesIO(data), pre_buffer=False)
        size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
        if size > limit:
            raise InputError(f"{where}: {size:,} bytes unpacked; at most {limit:,} are read")
        # One thread: a process that ends right after pyarrow's threads have read is aborted now and then.
        return file.read(use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{where}: not a Parquet file ({' '.join(str(error).split())[:100]})") from None


def read_records(data: bytes, where: str, limit: int = MAX_UNPACKED) -> list[dict[str, Any]]:
    """The rows of a Parquet file. Errors: as `read_parquet`; texts that are none."""
    try:
        return list(read_parquet(data, where, limit).to_pylist())
    except ValueError as error:
        raise InputError(f"{where}: damaged ({str(error)[:100]})") from None


def write_parquet(table: pa.Table) -> bytes:
    from pyarrow import parquet

    buffer = BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
