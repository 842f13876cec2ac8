"""Parquet as bytes, read within size limits; errors begin with the name of the file, `where`."""

from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from metrics.data.parquet_pages import TooLargeError, require_small, text_columns
from metrics.util.errors import InputError

# 10,000 rows take far less. A few kilobytes of Parquet can unpack to gigabytes.
MAX_UNPACKED = 512_000_000
_MAX_FOOTER = 1_000_000
# Levels of a column's type.
_MAX_DEPTH = 16


def read_parquet(data: bytes, where: str, limit: int = MAX_UNPACKED) -> pa.Table:
    """Return the table in a Parquet file.

    Raises:
        InputError: The file is damaged, or it would take more than `limit` bytes in memory, which is found out before
            memory grows.
    """
    too_large = f"{where}: more than {limit:,} bytes unpacked, which is the limit"
    try:
        # The footer itself unpacks to hundreds of times its size.
        if data.endswith(b"PAR1") and int.from_bytes(data[-8:-4], "little") > _MAX_FOOTER:
            raise InputError(f"{where}: a footer of more than {_MAX_FOOTER:,} bytes; write fewer row groups")
        file = _open_parquet(data)
        require_small(data, file.metadata, limit)
        # Columns of text are read as the dictionaries in which they are stored: a text of many rows is there once.
        stored = _open_parquet(data, read_dictionary=text_columns(file.metadata))
        for field in stored.schema_arrow:
            if not _is_bounded(field.type):
                raise ValueError(f"column {field.name}: type {file.schema_arrow.field(field.name).type} is not read")
        # One thread: a process that ends right after pyarrow's threads have read is sometimes aborted.
        table = stored.read(use_threads=False)
        if sum(_text_bytes(chunk) for column in table.columns for chunk in column.chunks) > limit:
            raise TooLargeError
        return table.cast(file.schema_arrow)
    except TooLargeError:
        raise InputError(too_large) from None
    except (pa.ArrowException, OSError, ValueError, KeyError, RecursionError) as error:
        raise InputError(f"{where}: not a Parquet file ({' '.join(str(error).split())[:100]})") from None


def _open_parquet(data: bytes, **options: Any) -> parquet.ParquetFile:
    return parquet.ParquetFile(BytesIO(data), pre_buffer=False, schema_depth_limit=_MAX_DEPTH, **options)


def _is_bounded(kind: pa.DataType, inside: bool = False) -> bool:
    """Whether `require_small` bounds the values of this type: texts are dictionaries, or `inside` another type."""
    types = pa.types
    if types.is_list(kind) or types.is_large_list(kind) or types.is_struct(kind) or types.is_map(kind):
        return all(_is_bounded(kind.field(i).type, True) for i in range(kind.num_fields))
    fixed = types.is_primitive(kind) or types.is_decimal(kind) or types.is_fixed_size_binary(kind)
    text = types.is_string(kind) or types.is_binary(kind) or types.is_large_string(kind) or types.is_large_binary(kind)
    return fixed or types.is_dictionary(kind) or types.is_null(kind) or (text and inside)


def _text_bytes(array: pa.Array) -> int:
    """The bytes that the texts of a column take once each row has its own."""
    if not isinstance(array, pa.DictionaryArray):
        return 0
    lengths = pc.fill_null(pc.binary_length(array.dictionary), 0)
    return pc.sum(lengths.take(array.indices)).as_py() or 0


def read_records(data: bytes, where: str, limit: int = MAX_UNPACKED) -> list[dict[str, Any]]:
    """Return the rows of a Parquet file as dictionaries; arguments and errors as in `read_parquet`."""
    return to_records(read_parquet(data, where, limit), where)


def to_records(table: pa.Table, where: str) -> list[dict[str, Any]]:
    """Return the rows of a table as dictionaries; raise InputError if its values are not those of their types."""
    try:
        return list(table.to_pylist())
    except ValueError as error:
        raise InputError(f"{where}: damaged ({str(error)[:100]})") from None


def write_parquet(table: pa.Table) -> bytes:
    """Return a table as a zstd-compressed Parquet file."""
    buffer = BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
