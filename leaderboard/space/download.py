"""The ranking as files: CSV for spreadsheets, Parquet for programs."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence

import pyarrow as pa

from leaderboard.rows.formats import write_parquet
from leaderboard.space.data import Leaderboard, Record
from leaderboard.space.shown import csv_cell


def as_csv(board: Leaderboard, records: Sequence[Record]) -> bytes:
    """All columns of the records, in their order. With a byte order mark, without which Excel guesses the encoding."""
    text = io.StringIO()
    writer = csv.writer(text)
    names = board.table.schema.names
    writer.writerow(names)
    writer.writerows([csv_cell(record[name]) for name in names] for record in records)
    return b"\xef\xbb\xbf" + text.getvalue().encode("utf-8")


def as_parquet(board: Leaderboard, records: Sequence[Record]) -> bytes:
    """The same rows as they are stored."""
    places = pa.array([int(record["key"]) for record in records], type=pa.int64())
    return write_parquet(board.table.take(places))


def handed_over(name: str, data: bytes) -> dict[str, str]:
    """A file as the page's script takes it: nothing is written to the server's disk."""
    return {"name": name, "data": base64.b64encode(data).decode("ascii")}
