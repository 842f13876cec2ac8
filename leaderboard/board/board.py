"""The board: rows with their verifications, in rankings of comparable rows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from leaderboard.board.ties import format_letters, significant_pairs, tie_letters
from leaderboard.rows.row import Row, Status
from leaderboard.rows.sentences import Sentences

# A row and its sentences; None for a row that is published without them.
Entry = tuple[Row, Sentences | None]


@dataclass(frozen=True)
class Verification:
    """What `leaderboard.verify` found, on a day and by a version of the program, for the row with the hash `row`."""

    status: Status = "unchecked"
    note: str = ""
    date: str = ""
    version: str = ""
    row: str = ""


@dataclass(frozen=True)
class Placing:
    """A row's place in its ranking: its rank, None for an unranked row, and the letters of its ties."""

    rank: int | None = None
    ties: str = ""


@dataclass(frozen=True)
class Board:
    """Everything from which the derived tables are computed, by run id.

    Attributes:
        j: J of each sentence [n], for the latest rows whose sentences are stored.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    j: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    verifications: dict[str, Verification] = field(default_factory=dict)

    def status(self, row: Row) -> Verification:
        """Return the row's verification: "unchecked" if it is of another version of the row, or its outputs left."""
        verification = self.verifications.get(row.run_id)
        if verification is None or verification.row != row.sha256:
            return Verification()
        gone = verification.status == "verified" and row.run_id in self.latest_ids and row.run_id not in self.j
        return Verification() if gone else verification

    @cached_property
    def latest_ids(self) -> frozenset[str]:
        """The run ids of the latest rows."""
        return frozenset(row.run_id for row in self.latest)

    @cached_property
    def latest(self) -> list[Row]:
        """The newest row of each system under each signature and decoding.

        Rows under one name stay apart if their submitters or kinds differ: nobody owns a name.
        """
        newest: dict[tuple[str, ...], Row] = {}
        for row in sorted(self.rows.values(), key=lambda row: (row.date, row.run_id)):
            decoding = json.dumps({**row.decoding, "batch_size": None}, sort_keys=True)
            newest[row.system.name, row.system.kind, row.submitter, row.comparable, decoding] = row
        return list(newest.values())

    def ranked(self, row: Row) -> bool:
        """Return whether a row has a rank: measured, complete, with stored outputs, and not a mismatch."""
        stored = len(self.j.get(row.run_id, ())) == row.test_set.n
        return row.record == "measured" and row.complete and stored and self.status(row).status != "mismatch"

    @cached_property
    def rankings(self) -> list[list[Row]]:
        """The latest rows in groups of comparable rows, each by J, best first; unranked rows come last.

        Groups with ranked rows come first, then groups with more sentences.
        """
        groups: dict[str, list[Row]] = {}
        for row in sorted(self.latest, key=lambda row: (not self.ranked(row), -_j(row), row.system.name, row.run_id)):
            groups.setdefault(row.comparable, []).append(row)
        return sorted(groups.values(), key=self._order)

    def _order(self, ranking: list[Row]) -> tuple[str, bool, int, int, str]:
        first = ranking[0]
        return first.record, not self.ranked(first), -(first.test_set.n or 0), -len(ranking), first.comparable

    @cached_property
    def placings(self) -> dict[str, Placing]:
        """The places of the ranked rows, by run id; equal J's share a rank."""
        placings = {}
        for ranking in self.rankings:
            rows = [row for row in ranking if self.ranked(row)]
            letters = tie_letters(significant_pairs(np.stack([self.j[row.run_id] for row in rows]))) if rows else []
            rank = 0
            for place, (row, numbers) in enumerate(zip(rows, letters, strict=True), start=1):
                rank = rank if place > 1 and _j(rows[place - 2]) == _j(row) else place
                placings[row.run_id] = Placing(rank, format_letters(numbers))
        return placings

    def placing(self, row: Row) -> Placing:
        """Return the place of a row."""
        return self.placings.get(row.run_id, Placing())

    def with_entries(self, entries: Mapping[str, Entry]) -> Self:
        """Return this board with `entries` (by run id) added."""
        rows = {run: row for run, (row, _) in entries.items()}
        j = {run: sentences.values["j"] for run, (_, sentences) in entries.items() if sentences is not None}
        return replace(self, rows={**self.rows, **rows}, j={**self.j, **j})


def _j(row: Row) -> float:
    return row.scores["j"].mean if "j" in row.scores else float("-inf")
