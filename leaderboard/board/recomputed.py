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
from metrics.data.parquet import read_records, write_parquet
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

    def belongs_to(self, row: Row) -> bool:
        """Return whether these are values that a verification of `row` can have found: no further than `TOLERANCE`."""
        if not row.complete or self.row != row.sha256 or len(self.j) != row.test_set.n:
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


def read_recomputed(snapshot: Snapshot, rows: Iterable[Row]) -> dict[str, Recomputed]:
    """Return the recomputed values of `rows`, by run id, without those of other versions of a row.

    Raises:
        InputError: The file is damaged, or lacks a column or a value.
    """
    if RECOMPUTED not in snapshot.files:
        return {}
    by_run = {row.run_id: row for row in rows}
    found = {}
    for record in read_records(snapshot.read(RECOMPUTED), RECOMPUTED):
        try:
            values = {name: float(record[name]) for name in (*_PARTS, *_SOFT)}
            one = Recomputed(str(record["row"]), values, np.array(record["j"], dtype=np.float64))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{RECOMPUTED}: damaged ({str(error)[:100]}); run leaderboard.verify --write") from None
        row = by_run.get(str(record["run_id"]))
        if row is not None and np.isfinite([*values.values(), *one.j]).all() and one.belongs_to(row):
            found[row.run_id] = one
    return found
