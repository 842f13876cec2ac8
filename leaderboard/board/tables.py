"""The derived tables, a pure function of the board: `latest` rows with their ranks, all rows in `full`, and `paired`.

`paired` has the J of each sentence of a latest row, from which ties are computed without a request per row.
"""

import datetime
import json
from typing import Any

import pyarrow as pa

from leaderboard.board.board import Board, Placing, Verification
from leaderboard.rows.row import Row
from leaderboard.stores.base import Snapshot
from metrics.data.parquet import read_parquet, write_parquet
from metrics.scoring import METRICS
from metrics.util.errors import InputError

TABLES = {name: f"data/{name}-00000-of-00001.parquet" for name in ("latest", "full", "paired")}
_SCORES = {
    name: (metric, part)
    for metric in METRICS
    for name, part in ((metric, "mean"), (f"{metric}_low", "low"), (f"{metric}_high", "high"))
}
# In the order in which a viewer shows them.
COLUMNS = (
    *("rank", "ties", "system", *_SCORES, "n"),
    *("verification", "verification_note", "verification_date", "verification_version"),
    *("kind", "revision", "size", "licence", "base", "training_data", "parallel_data", "contamination", "note"),
    *("test_set", "lang", "test_set_origin", "test_set_revision", "test_set_sha256", "test_set_size"),
    *("profile", "signature", "comparable", "decoding", "soft_sta", "soft_fl", "length_ratio", "copies", "empty"),
    *("seconds", "device", "prompt_tokens", "completion_tokens", "token_cost"),
    *("provenance", "submitter", "date", "record", "source", "source_url", "run_id", "path"),
    "schema_version",
)
# Types of the columns that are no strings.
_INTEGERS = ("rank", "n", "size", "test_set_size", "empty", "prompt_tokens", "completion_tokens", "schema_version")
_FLOATS = (*_SCORES, "soft_sta", "soft_fl", "length_ratio", "copies", "seconds", "token_cost")
_TYPES = {**dict.fromkeys(_INTEGERS, pa.int64()), **dict.fromkeys(_FLOATS, pa.float64())}
_TYPES |= {"training_data": pa.list_(pa.string()), "parallel_data": pa.bool_()}
_SCHEMA = pa.schema([(name, _TYPES.get(name, pa.string())) for name in COLUMNS])


def record(row: Row, verification: Verification, placing: Placing) -> dict[str, Any]:
    """Return a row as a record of the tables, with the keys `COLUMNS`."""
    test_set, source, usage = row.test_set, row.source, row.usage
    values = {
        **vars(placing),
        "system": row.system.name,
        **{name: getattr(row.scores.get(metric), part, None) for name, (metric, part) in _SCORES.items()},
        "n": test_set.n,
        "verification": verification.status,
        **{f"verification_{part}": getattr(verification, part) for part in ("note", "date", "version")},
        **row.system.model_dump(include={"kind", "revision"}),
        **row.system.about.model_dump(),
        "training_data": list(row.system.about.training_data),
        "test_set": test_set.name,
        "lang": test_set.lang,
        **{f"test_set_{part}": getattr(test_set, part) for part in ("origin", "revision", "sha256")},
        "test_set_size": test_set.of,
        "decoding": json.dumps(row.decoding, sort_keys=True, ensure_ascii=False),
        **row.cost.model_dump(),
        "prompt_tokens": usage.prompt_tokens if usage else None,
        "completion_tokens": usage.completion_tokens if usage else None,
        "token_cost": usage.cost if usage else None,
        "provenance": json.dumps(row.provenance.model_dump(mode="json"), sort_keys=True, ensure_ascii=False),
        "date": row.date.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "source": source.title if source else "",
        "source_url": source.url if source else "",
    }
    return {name: values[name] if name in values else getattr(row, name) for name in COLUMNS}


def derive(board: Board) -> dict[str, bytes]:
    """Return the path and content of each derived table. Equal boards give equal bytes."""

    def flat(row: Row) -> dict[str, Any]:
        return record(board.shown(row), board.status(row), board.placing(row))

    latest = [row for ranking in board.rankings for row in ranking]
    history = sorted(board.rows.values(), key=lambda row: (row.date, row.run_id), reverse=True)
    full = [{**flat(row), "document": row.to_json()} for row in history]
    paired = [{"run_id": row.run_id, "j": board.paired_j(row).tolist()} for row in latest if row.run_id in board.j]
    tables = {
        "latest": pa.Table.from_pylist([flat(row) for row in latest], _SCHEMA),
        "full": pa.Table.from_pylist(full, _SCHEMA.append(pa.field("document", pa.string()))),
        "paired": pa.Table.from_pylist(paired, pa.schema([("run_id", pa.string()), ("j", pa.list_(pa.float64()))])),
    }
    return {TABLES[name]: write_parquet(table) for name, table in tables.items()}


def table_changes(board: Board, snapshot: Snapshot) -> dict[str, bytes]:
    """Return all derived tables if a stored one has other values, else nothing.

    The bytes of equal tables may differ between versions of the Parquet writer.
    """

    def same(path: str, data: bytes) -> bool:
        stored = snapshot.read(path) if path in snapshot.files else b""
        try:
            return stored == data or read_parquet(stored, path).equals(read_parquet(data, path))
        except InputError:
            return False

    derived = derive(board)
    return {} if all(same(path, data) for path, data in derived.items()) else derived
