"""The board: rows with their verifications, in rankings of comparable rows; and rows that are copies of others."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from leaderboard.board.ties import format_letters, significant_pairs, tie_letters
from leaderboard.rows.row import Row, Status
from leaderboard.rows.sentences import Sentences
from metrics.systems.baselines import BASELINES
from metrics.systems.resolve import resolve_system

# Outputs of fewer sentences may be equal by chance.
_MIN_SENTENCES = 20
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


def by_outputs(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return rows by the hash of their outputs, as `find_copy` takes them."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.outputs, []).append(row)
    return groups


def find_copy(row: Row, others: Mapping[str, list[Row]]) -> Row | None:
    """Return the row among `others` of which `row` is a copy under another system's name.

    Two systems with the same outputs, sentence by sentence, are one, whatever their scores. Exceptions are baselines,
    whose outputs follow from the test set; systems on a handful of sentences; and systems of one training run, which
    coincide if it keeps the checkpoint of step 0. `others` comes from `by_outputs`.
    """
    if not row.outputs or is_baseline(row):
        return None
    for other in others.get(row.outputs, ()):
        enough = (row.test_set.n or 0) >= _MIN_SENTENCES or row.system.revision == other.system.revision
        if row.system.name != other.system.name and enough and not _same_run(row, other):
            return other
    return None


def is_baseline(row: Row) -> bool:
    """Return whether a row is of a built-in baseline at this program's revision, so that its outputs can be checked."""
    name = row.system.name
    built_in = row.system.kind in ("baseline", "human") and name in BASELINES
    return built_in and row.system.revision == resolve_system(name).revision


def _same_run(first: Row, second: Row) -> bool:
    """Return whether one training run, as its recipe lists its systems, made both rows."""
    recipes = [row.provenance.recipe or {} for row in (first, second)]
    if not recipes[0] or recipes[0] != recipes[1] or first.submitter != second.submitter:
        return False
    recipe = recipes[0].get("recipe", recipes[0])
    names = recipe.get("systems", []) if isinstance(recipe, dict) else []
    return {first.system.name, second.system.name} <= set(names)
