"""The values that verification recomputed: ranks, ties and tables of verified rows come from them.

Stored values may differ from recomputed ones by `TOLERANCE`. If ranks came from the stored ones, whoever raises them by
that much would win. All verified rows share one file, which a reader of a data set gets by one request.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from leaderboard.rows.row import TOLERANCE, Row, Score
from leaderboard.rows.sentences import Sentences, summarise
from leaderboard.stores.base import Snapshot
from metrics.data.parquet import read_parquet, to_records, write_parquet
from metrics.scoring import METRICS
from metrics.util.errors import InputError

RECOMPUTED = "verification/recomputed.parquet"
_SOFT = ("soft_sta", "soft_fl")
# Of a sum.
_ROUNDING = 1e-9
_PARTS = {f"{metric}_{part}": (metric, part) for metric in METRICS for part in ("mean", "low", "high")}
_SCHEMA = pa.schema(
    [
        *(("run_id", pa.string()), ("row", pa.string())),
        *((name, pa.float64()) for name in (*_PARTS, *_SOFT)),
        ("j", pa.list_(pa.float64())),
    ]
)


@dataclass(frozen=True)
class Recomputed:
    """Recomputed values of the row with the hash `row`: means and soft scores by column, and J per sentence [n]."""

    row: str
    values: Mapping[str, float]
    j: np.ndarray[Any, Any]

    @classmethod
    def of(cls, row: Row, sentences: Sentences) -> Self:
        """Return the values of `sentences`, which have recomputed scores."""
        summary = summarise(sentences)
        values = {name: summary["scores"][metric][part] for name, (metric, part) in _PARTS.items()}
        return cls(row.sha256, {**values, **{name: summary[name] for name in _SOFT}}, sentences.values["j"])

    def belongs_to(self, row: Row, j: np.ndarray[Any, Any] | None) -> bool:
        """Return whether a verification of `row` can have found these values: none is further than `TOLERANCE`.

        `j` [n] is that of the row's stored sentences, None where they are not read.
        """
        if not row.complete or self.row != row.sha256 or len(self.j) != row.test_set.n:
            return False
        if j is not None and (len(j) != len(self.j) or (np.abs(self.j - j) > TOLERANCE + _ROUNDING).any()):
            return False
        stored = {name: getattr(row.scores[metric], part) for name, (metric, part) in _PARTS.items()}
        stored |= {name: getattr(row, name) for name in _SOFT}
        pairs = [(self.values[name], value) for name, value in stored.items()]
        pairs.append((self.values["j_mean"], float(self.j.mean())))
        return all(value is not None and abs(own - value) <= TOLERANCE + _ROUNDING for own, value in pairs)

    def in_place(self, row: Row) -> Row:
        """Return `row` with these values in place of its own."""
        scores = {
            metric: Score(**{part: self.values[f"{metric}_{part}"] for part in ("mean", "low", "high")})
            for metric in METRICS
        }
        return row.model_copy(update={"scores": scores, **{name: self.values[name] for name in _SOFT}})


def recomputed_file(recomputed: Mapping[str, Recomputed]) -> bytes:
    """Return the file of recomputed values, given by run id."""
    records = (
        {"run_id": run, "row": one.row, **one.values, "j": one.j.tolist()} for run, one in sorted(recomputed.items())
    )
    return write_parquet(pa.Table.from_pylist(list(records), _SCHEMA))


def read_recomputed(
    snapshot: Snapshot, rows: Iterable[Row], j: Mapping[str, np.ndarray[Any, Any]]
) -> dict[str, Recomputed]:
    """Return the recomputed values that belong to `rows`, whose stored J is `j`, by run id; raise as `read_stored`."""
    stored = read_stored(snapshot)
    found = ((row, stored.get(row.run_id)) for row in rows)
    return {row.run_id: one for row, one in found if one is not None and one.belongs_to(row, j.get(row.run_id))}


def read_stored(snapshot: Snapshot) -> dict[str, Recomputed]:
    """Return all values of the file by run id, whether a row has them or not; {} without the file.

    Raises:
        InputError: The file is damaged, has other columns or types than `recomputed_file` writes, lacks a value, or
            has a run id twice.
    """
    if RECOMPUTED not in snapshot.files:
        return {}
    table = read_parquet(snapshot.read(RECOMPUTED), RECOMPUTED)
    # Versions of the Parquet writer name the values of a list, and the types of texts, differently.
    types = [str(kind).replace("element", "item").removeprefix("large_") for kind in table.schema.types]
    if (table.column_names, types) != (_SCHEMA.names, list(map(str, _SCHEMA.types))):
        raise InputError(f"{RECOMPUTED}: other columns than leaderboard.verify --write gives it; run it")
    found: dict[str, Recomputed] = {}
    for number, record in enumerate(to_records(table, RECOMPUTED)):
        run, row, own, values = record.pop("run_id"), record.pop("row"), record.pop("j"), record
        numbers = [*values.values(), *(own or [None])]
        # A value may be null, and a number NaN.
        if None in (run, row, *numbers) or run in found or not np.isfinite(numbers).all():
            fault = "a run id twice" if run in found else "no value"
            raise InputError(f"{RECOMPUTED}: row {number} has {fault}; run leaderboard.verify --write")
        found[run] = Recomputed(row, values, np.array(own, dtype=np.float64))
    return found
