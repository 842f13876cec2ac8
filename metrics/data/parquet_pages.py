"""The size of a Parquet file in memory, from the headers of its pages, before anything is unpacked.

The sizes in a file's footer are claims, which pyarrow does not check: a kilobyte can unpack to gigabytes. The header of
a page is what the reader itself goes by: it unpacks no more bytes, and decodes no more values, than the header says.
Headers are Thrift structs in the compact protocol (https://github.com/apache/parquet-format).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import parquet

# Numbers of fields in the header of a page.
_KIND, _UNPACKED, _PACKED = 1, 2, 3
# Kind -> the field of its own header, and the fields of the number of values and of the encoding in that one.
_DICTIONARY = 2
_KINDS = {0: (5, 1, 2), _DICTIONARY: (7, 1, 2), 3: (8, 1, 4)}
# In DELTA_BYTE_ARRAY a value of a few bits repeats the whole value before it.
_DELTA_BYTE_ARRAY = 7
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 8}
# Bytes of a page beside its content, and of a value as an object of Python.
_PAGE, _VALUE = 1_000, 64
# Eight times what writers put into a dictionary.
_MAX_DICTIONARY = 8_000_000
_MAX_DEPTH, _MAX_HEADER = 8, 1_000


class TooLargeError(Exception):
    """The file is larger in memory than the limit."""


def text_columns(metadata: parquet.FileMetaData) -> list[str]:
    """Return the columns of texts or bytes that are no part of another; `require_small` counts equal values once."""
    columns = map(metadata.schema.column, range(metadata.num_columns))
    return [column.path for column in columns if column.physical_type == "BYTE_ARRAY" and not _is_nested(column)]


def require_small(data: bytes, metadata: parquet.FileMetaData, limit: int) -> None:
    """Check that a file's columns take at most `limit` bytes; those of `text_columns` as dictionaries.

    Raises:
        TooLargeError: They take more.
        ValueError: The headers of the pages contradict the footer, or have an encoding that is not read.
    """
    size = 0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        if group.num_rows and not group.num_columns:
            raise ValueError("rows without columns")
        for i in range(group.num_columns):
            column, chunk = metadata.schema.column(i), group.column(i)
            width = column.length if column.physical_type == "FIXED_LEN_BYTE_ARRAY" else _WIDTHS[column.physical_type]
            # Levels tell where lists and missing values are.
            width += _VALUE + 8 * (column.max_definition_level + column.max_repetition_level)
            values = 0
            for page in _pages(data, chunk):
                size += _PAGE + page.unpacked + page.values * width
                values += page.values
                if size > limit:
                    raise TooLargeError
                # pyarrow cannot read the texts of lists as dictionaries: each may be the longest.
                if page.is_dictionary and column.physical_type == "BYTE_ARRAY" and _is_nested(column):
                    width += _longest(data[page.start : page.end], page.unpacked, chunk.compression)
            # The reader sets memory aside for the number in the footer.
            if values != chunk.num_values or group.num_rows > values:
                raise ValueError("the pages hold another number of values than the footer says")


def _is_nested(column: parquet.ColumnSchema) -> bool:
    return column.max_repetition_level > 0 or column.path != column.name


def _longest(page: bytes, unpacked: int, compression: str) -> int:
    """The length of the longest value in a dictionary page: each value follows its length, of four bytes."""
    if unpacked > _MAX_DICTIONARY:
        raise ValueError(f"a list with a dictionary of more than {_MAX_DICTIONARY:,} bytes")
    if compression != "UNCOMPRESSED":
        # Parquet's LZ4 has no frame.
        codec = "lz4_raw" if compression == "LZ4" else compression.lower()
        page = pa.Codec(codec).decompress(page, unpacked, asbytes=True)
    place = longest = 0
    while place < len(page):
        length = int.from_bytes(page[place : place + 4], "little")
        longest = max(longest, length)
        place += 4 + length
    return longest


class _Page(NamedTuple):
    """The place of a page's content in the file, its size when unpacked, and the number of values (0: a dictionary)."""

    start: int
    end: int
    unpacked: int
    values: int
    is_dictionary: bool


def _pages(data: bytes, chunk: parquet.ColumnChunkMetaData) -> Iterator[_Page]:
    """Yield the pages of a column chunk, in the order in which pyarrow reads them."""
    start = chunk.data_page_offset
    if not start and not chunk.num_values:
        return  # pyarrow writes no page for a column without values
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < start:
        start = chunk.dictionary_page_offset
    end = start + chunk.total_compressed_size
    if not 0 <= start <= end <= len(data):
        raise ValueError("a column outside the file")
    while start < end:
        reader = _Compact(data, start, end)
        header = reader.struct()
        kind: Any = header.get(_KIND)
        own, count, encoding = _KINDS.get(kind, (0, 0, 0))
        inner = header.get(own)
        if not isinstance(inner, dict):
            raise ValueError("a page of an unknown kind")
        unpacked, packed, values = header.get(_UNPACKED, -1), header.get(_PACKED, -1), inner.get(count, -1)
        if not all(type(number) is int and number >= 0 for number in (unpacked, packed, values)):
            raise ValueError("a page without its size")
        if inner.get(encoding) == _DELTA_BYTE_ARRAY:
            raise ValueError("values in the encoding DELTA_BYTE_ARRAY; write them with the encoding PLAIN")
        start = reader.position + packed
        if start > end:
            raise ValueError("a page is cut off")
        is_dictionary = kind == _DICTIONARY
        yield _Page(reader.position, start, unpacked, 0 if is_dictionary else values, is_dictionary)


class _Compact:
    """Reads a header in Thrift's compact protocol from `data`; raises ValueError at anything else.

    It takes what pyarrow takes: of each field the last value, and a number only of 32 bits.
    """

    def __init__(self, data: bytes, position: int, end: int) -> None:
        self._data, self.position, self._end = data, position, end
        self._left = _MAX_HEADER

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """The fields of a struct by their numbers: integers and structs; the others are passed over."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            if abs(number) >= 2**15:
                raise ValueError("a header with other fields")
            value = self._value(head & 15, depth, in_list=False)
            if value is not None:
                fields[number] = value
        return fields

    def _value(self, kind: int, depth: int, *, in_list: bool) -> Any:
        if depth > _MAX_DEPTH:
            raise ValueError("a header with too many levels")
        if kind == 5:  # int32
            return self._zigzag()
        if kind == 12:
            return self.struct(depth + 1)
        if kind in (1, 2):  # true, false: a byte of its own only in a list
            self._skip(int(in_list))
        elif kind in (3, 7):  # byte, double
            self._skip(1 if kind == 3 else 8)
        elif kind in (4, 6):  # int16, int64
            self._zigzag()
        elif kind == 8:  # binary
            self._skip(self._varint())
        elif kind in (9, 10):  # list, set
            head = self._byte()
            for _ in range(head >> 4 if head >> 4 < 15 else self._varint()):
                self._value(head & 15, depth + 1, in_list=True)
        else:
            raise ValueError("a header with other types")
        return None

    def _skip(self, count: int) -> None:
        self.position += count
        self._left -= 1
        if self.position > self._end or self._left < 0:
            raise ValueError("a header is cut off or too long")

    def _byte(self) -> int:
        self._skip(1)
        return self._data[self.position - 1]

    def _varint(self) -> int:
        value = shift = 0
        while shift < 64:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
        raise ValueError("a number of more than 64 bits")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
