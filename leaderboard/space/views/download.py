"""The ranking as files: CSV for spreadsheets, Parquet for programs."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence

import pyarrow as pa

from leaderboard.rows.formats import write_parquet
from leaderboard.space.data import Leaderboard, Record
from leaderboard.space.escaping import to_csv_cell


def to_csv(board: Leaderboard, records: Sequence[Record]) -> bytes:
    """Return all columns of the records in their order, with the byte order mark by which Excel detects UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text)
    names = board.table.schema.names
    writer.writerow(names)
    writer.writerows([to_csv_cell(record[name]) for name in names] for record in records)
    return b"\xef\xbb\xbf" + text.getvalue().encode("utf-8")


def to_parquet(board: Leaderboard, records: Sequence[Record]) -> bytes:
    """Return the records in their order, with the columns and types of the stored table."""
    places = pa.array([int(record["key"]) for record in records], type=pa.int64())
    return write_parquet(board.table.take(places))


def browser_file(name: str, data: bytes) -> dict[str, str]:
    """Return a file as assets/save.js reads it: the browser saves it, the server writes nothing to its disk."""
    return {"name": name, "data": base64.b64encode(data).decode("ascii")}
