"""The derived tables: what a reader sees, rebuilt from the rows by a pure function.

`latest` holds the newest row of each system under each signature, with ranks and ties; `full` every row there is;
`paired` the J of every sentence of a latest row, from which ties are told without opening each row's sentences.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from leaderboard.board.ties import separated, spell, tie_letters
from leaderboard.rows.formats import write_parquet
from leaderboard.rows.row import Row, Status
from metrics.scoring import METRICS

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = {name: f"data/{name}-00000-of-00001.parquet" for name in ("latest", "full", "paired")}


@dataclass(frozen=True)
class Verification:
    """What `leaderboard.verify` found of a row. note: the findings, or what was missing. row: the row's hash then."""

    status: Status = "unchecked"
    note: str = ""
    date: str = ""
    version: str = ""
    row: str = ""


@dataclass(frozen=True)
class Placing:
    """Where a row stands in its ranking. rank: None for rows that get none; ties: letters."""

    rank: int | None = None
    ties: str = ""


@dataclass(frozen=True)
class Board:
    """All that the tables are made of. j: [n] per run id, of the latest rows whose sentences are stored."""

    rows: dict[str, Row] = field(default_factory=dict)
    j: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    verifications: dict[str, Verification] = field(default_factory=dict)

    def status(self, row: Row) -> Verification:
        """What was found of this very row; of another that had its place, or of outputs that are gone, nothing."""
        found = self.verifications.get(row.run_id)
        if found is None or found.row != row.sha256:
            return Verification()
        gone = found.status == "verified" and row.run_id in self._newest and row.run_id not in self.j
        return Verification() if gone else found

    @cached_property
    def _newest(self) -> frozenset[str]:
        return frozenset(row.run_id for row in self.latest)

    @cached_property
    def latest(self) -> list[Row]:
        """The newest row of each system under each signature and decoding.

        A name belongs to nobody: rows of several submitters, or kinds, under one name all stay.
        """
        newest: dict[tuple[str, ...], Row] = {}
        for row in sorted(self.rows.values(), key=lambda row: (row.date, row.run_id)):
            decoding = {key: value for key, value in row.decoding.items() if key != "batch_size"}
            key = (
                row.system.name,
                row.system.kind,
                row.submitter,
                row.comparable,
                json.dumps(decoding, sort_keys=True),
            )
            newest[key] = row
        return list(newest.values())

    def ranked(self, row: Row) -> bool:
        """Measured, complete, with its outputs stored, and not found to differ from what they score."""
        stored = len(self.j.get(row.run_id, ())) == row.test_set.n
        return row.record == "measured" and row.complete and stored and self.status(row).status != "mismatch"

    @cached_property
    def rankings(self) -> list[list[Row]]:
        """The latest rows by J, best first, a list per group that can be compared; ranked and large groups come first.

        Rows without a rank (see `ranked`) stand at the end of their list.
        """
        groups: dict[str, list[Row]] = {}
        for row in self.latest:
            groups.setdefault(row.comparable, []).append(row)
        ordered = [
            sorted(group, key=lambda row: (not self.ranked(row), -_j(row), row.system.name, row.run_id))
            for group in groups.values()
        ]
        return sorted(ordered, key=self._order)

    def _order(self, ranking: list[Row]) -> tuple[str, bool, int, int, str]:
        first = ranking[0]
        return first.record, not self.ranked(first), -(first.test_set.n or 0), -len(ranking), first.comparable

    @cached_property
    def placings(self) -> dict[str, Placing]:
        """run id → place, for the latest rows. Equal J's share a rank."""
        found = {}
        for ranking in self.rankings:
            placed = [row for row in ranking if self.ranked(row)]
            letters: list[list[int]] = []
            if placed:
                letters = tie_letters(separated(np.stack([self.j[row.run_id] for row in placed])))
            rank = 0
            for place, (row, own) in enumerate(zip(placed, letters, strict=True), start=1):
                rank = rank if place > 1 and _j(placed[place - 2]) == _j(row) else place
                found[row.run_id] = Placing(rank, spell(own))
        return found

    def placing(self, row: Row) -> Placing:
        return self.placings.get(row.run_id, Placing())


def _j(row: Row) -> float:
    return row.scores["j"].mean if "j" in row.scores else float("-inf")


# -- columns --------------------------------------------------------------------------------------------------------
# In the order in which a viewer shows them.
COLUMNS = (
    "rank", "ties", "system", "sta", "sta_low", "sta_high", "sim", "sim_low", "sim_high", "fl", "fl_low", "fl_high",
    "j", "j_low", "j_high", "n", "verification", "verification_note", "verification_date", "verification_version",
    "kind", "revision", "size", "licence", "base", "training_data", "parallel_data", "contamination", "note",
    "test_set", "test_set_origin", "test_set_revision", "test_set_sha256", "test_set_size", "profile", "signature",
    "comparable", "decoding", "soft_sta", "soft_fl", "length_ratio", "copies", "empty", "seconds", "device",
    "provenance", "submitter", "date", "record", "source", "source_url", "run_id", "path", "schema_version",
)  # fmt: skip


def record(row: Row, verification: Verification, placing: Placing) -> dict[str, Any]:
    """A row as the flat record that the tables hold; its keys are `COLUMNS`."""
    about = row.system.about
    scores: dict[str, float | None] = {}
    for metric in METRICS:
        score = row.scores.get(metric)
        for part, name in (("mean", metric), ("low", f"{metric}_low"), ("high", f"{metric}_high")):
            scores[name] = getattr(score, part) if score else None
    return {
        "rank": placing.rank,
        "ties": placing.ties,
        "system": row.system.name,
        **scores,
        "n": row.test_set.n,
        "verification": verification.status,
        "verification_note": verification.note,
        "verification_date": verification.date,
        "verification_version": verification.version,
        "kind": row.system.kind,
        "revision": row.system.revision,
        "size": about.size,
        "licence": about.licence,
        "base": about.base,
        "training_data": list(about.training_data),
        "parallel_data": about.parallel_data,
        "contamination": about.contamination,
        "note": about.note,
        "test_set": row.test_set.name,
        "test_set_origin": row.test_set.origin,
        "test_set_revision": row.test_set.revision,
        "test_set_sha256": row.test_set.sha256,
        "test_set_size": row.test_set.of,
        "profile": row.profile,
        "signature": row.signature,
        "comparable": row.comparable,
        "decoding": json.dumps(row.decoding, sort_keys=True, ensure_ascii=False),
        "soft_sta": row.soft_sta,
        "soft_fl": row.soft_fl,
        "length_ratio": row.length_ratio,
        "copies": row.copies,
        "empty": row.empty,
        "seconds": row.cost.seconds,
        "device": row.cost.device,
        "provenance": json.dumps(row.provenance.model_dump(mode="json"), sort_keys=True, ensure_ascii=False),
        "submitter": row.submitter,
        "date": row.date.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "record": row.record,
        "source": row.source.title if row.source else "",
        "source_url": row.source.url if row.source else "",
        "run_id": row.run_id,
        "path": row.path,
        "schema_version": row.schema_version,
    }


def _types(*more: str) -> dict[str, pa.DataType]:
    """Of the columns and `more` text columns: they keep their type when all their values are unknown."""
    import pyarrow as pa

    integers = ("rank", "n", "size", "test_set_size", "empty", "schema_version")
    numbers = {f"{metric}{end}" for metric in METRICS for end in ("", "_low", "_high")}
    numbers |= {"soft_sta", "soft_fl", "length_ratio", "copies", "seconds"}
    types = {name: pa.int64() if name in integers else pa.float64() if name in numbers else pa.string()
             for name in (*COLUMNS, *more)}  # fmt: skip
    return {**types, "parallel_data": pa.bool_(), "training_data": pa.list_(pa.string())}


def derive(board: Board) -> dict[str, bytes]:
    """path → Parquet of the derived tables. Pure: equal boards give equal bytes."""
    import pyarrow as pa

    def flat(row: Row) -> dict[str, Any]:
        return record(row, board.status(row), board.placing(row))

    latest = [row for ranking in board.rankings for row in ranking]
    history = sorted(board.rows.values(), key=lambda row: (row.date, row.run_id), reverse=True)
    paired = [{"run_id": row.run_id, "j": board.j[row.run_id].tolist()} for row in latest if row.run_id in board.j]
    return {
        TABLES["latest"]: _parquet(map(flat, latest), _types()),
        TABLES["full"]: _parquet(({**flat(row), "document": row.to_json()} for row in history), _types("document")),
        TABLES["paired"]: _parquet(paired, {"run_id": pa.string(), "j": pa.list_(pa.float64())}),
    }


def _parquet(records: Iterable[Mapping[str, Any]], types: Mapping[str, Any]) -> bytes:
    import pyarrow as pa

    return write_parquet(pa.Table.from_pylist(list(records), schema=pa.schema(list(types.items()))))
