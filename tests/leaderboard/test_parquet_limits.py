"""Parquet files that would take gigabytes are refused before memory grows; those of an honest writer are read."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from leaderboard.rows.sentences import Sentences
from metrics.data.parquet import read_parquet, read_records
from metrics.util.errors import InputError

LIMIT = 64_000_000


def packed(values: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pa.table({"x": values}), buffer, compression="zstd", **options)
    return buffer.getvalue()


def repeated(text: str | bytes, count: int) -> pa.Array:
    """One text, stored once, `count` times."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), [text])


def lists(value: Any, count: int) -> pa.Array:
    return pa.ListArray.from_arrays([0, len(value) * count], pa.concat_arrays([value] * count))


def forged(data: bytes, honest: int, claimed: int) -> bytes:
    """The file with another number in its footer: a varint of the same length in the compact protocol."""

    def varint(value: int) -> bytes:
        value *= 2
        parts = []
        while value >= 128:
            parts.append(value & 127 | 128)
            value >>= 7
        return bytes([*parts, value])

    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    old, new = varint(honest), varint(claimed)
    assert len(old) == len(new) and old in data[start:]
    return data[:start] + data[start:].replace(old, new)


BOMBS = {
    # 4 GB from 543 bytes, which claim 2 MB.
    "one text of many rows": lambda: packed(repeated("a" * 2_000_000, 2_000)),
    "one list of many texts": lambda: packed(lists(repeated("a" * 100_000, 100), 30)),
    "one long page": lambda: packed(["a" * 1_000_000] * 100, use_dictionary=False),
    "bytes": lambda: packed(repeated(b"a" * 2_000_000, 2_000)),
    "missing values": lambda: packed(pa.nulls(2_000_000, pa.int8())),
    "numbers": lambda: packed(pa.array([7] * 1_000_000, pa.int64())),
    "one list of many numbers": lambda: packed(lists(pa.array([7] * 10_000, pa.int64()), 100)),
    "many columns of repeated texts": lambda: packed(
        pa.StructArray.from_arrays([repeated("a" * 20_000, 1_000)] * 5, names=list("abcde"))
    ),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_file_that_would_take_gigabytes_is_refused_before_memory_grows(kind: str) -> None:
    data = BOMBS[kind]()
    assert len(data) < 1_000_000
    pool = pa.default_memory_pool()
    before, peak = pool.bytes_allocated(), 0
    watched = pa.proxy_memory_pool(pool)
    pa.set_memory_pool(watched)
    try:
        with pytest.raises(InputError, match=r"^x: (more than 64,000,000 bytes unpacked|a footer of more than)"):
            read_parquet(data, "x", LIMIT)
        peak = watched.max_memory() or 0
    finally:
        pa.set_memory_pool(pool)
    assert peak < 3 * LIMIT and pool.bytes_allocated() - before < LIMIT


def test_claims_of_the_footer_are_not_believed() -> None:
    data = packed(["a" * 100_000] * 300, use_dictionary=False)
    chunk = parquet.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(0)
    assert chunk.total_uncompressed_size > 30_000_000
    # A footer that claims 4 MB less than a page holds.
    small = forged(data, chunk.total_uncompressed_size, chunk.total_uncompressed_size - 4_000_000)
    with pytest.raises(InputError, match="more than 1,000,000 bytes unpacked"):
        read_parquet(small, "x", 1_000_000)
    # A footer that claims 16,000 rows, for which the reader would set memory aside.
    with pytest.raises(InputError, match="another number of values than the footer says"):
        read_parquet(forged(packed(list(range(9_000))), 9_000, 16_000), "x", LIMIT)


def test_encodings_and_types_that_grow_unseen_are_refused() -> None:
    delta = packed(["a" * 100_000] * 5_000, use_dictionary=False, column_encoding="DELTA_BYTE_ARRAY")
    with pytest.raises(InputError, match=r"x: not a Parquet file .*DELTA_BYTE_ARRAY; write them with the encoding"):
        read_parquet(delta, "x")
    json = pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}"]))
    with pytest.raises(InputError, match=r"column x: type extension<arrow\.json> is not read"):
        read_parquet(packed(json), "x")
    deep = pa.array([1])
    for _ in range(40):
        deep = pa.StructArray.from_arrays([deep], ["a"])
    with pytest.raises(InputError, match="x: not a Parquet file"):
        read_parquet(packed(deep), "x")


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_honest_files_are_read_as_pyarrow_reads_them(version: str, dictionary: bool) -> None:
    table = pa.table(
        {
            "text": ["é" * 10, None, "", "x"] * 500,
            "list": [["a", None], None, [], ["b"]] * 500,
            # Of so many distinct texts a writer stores some in a dictionary and the others beside it.
            "distinct": [[f"{i} {'x' * 700}"] for i in range(2_000)],
            "number": [1.5, None, 2.5, float("nan")] * 500,
            "flag": [True, None, False, True] * 500,
            "large": pa.array(["a", "b"] * 1_000, pa.large_string()),
            "struct": [{"a": "x", "b": [["u"]]}, None] * 1_000,
            "dictionary": pa.array(["q", "r"] * 1_000).dictionary_encode(),
            "time": pa.array([0, None] * 1_000, pa.timestamp("us")),
        }
    )
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, data_page_version=version, use_dictionary=dictionary, row_group_size=700)
    read = read_parquet(buffer.getvalue(), "x", LIMIT)
    assert read.schema == table.schema and read.drop(["number"]).equals(table.drop(["number"]))
    assert read["number"].is_null(nan_is_null=True).equals(table["number"].is_null(nan_is_null=True))


def test_sentences_of_an_honest_row_stay_far_below_the_limit() -> None:
    texts = [f"sentence {i} " + "word " * 60 for i in range(10_000)]
    numbers = {name: [0.5] * 10_000 for name in ("sta", "sim", "fl", "j", "soft_sta", "soft_fl")}
    table = pa.table({"source": texts, "output": texts, **numbers})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    assert len(read_records(buffer.getvalue(), "x", 20_000_000)) == 10_000
    assert Sentences.from_parquet(buffer.getvalue(), "x").source == tuple(texts)


def test_a_file_without_rows_is_read() -> None:
    """pyarrow writes no page for it, and an offset of 0."""
    table = read_parquet(packed(pa.array([], pa.string())), "empty.parquet")
    assert table.num_rows == 0 and table.column_names == ["x"]
