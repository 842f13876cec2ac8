"""The board: rows with their verifications, in rankings of comparable rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from leaderboard.board.recomputed import Recomputed
from leaderboard.board.replaced import is_replacement
from leaderboard.board.ties import format_letters, significant_pairs, tie_letters
from leaderboard.rows.row import TOLERANCE, Row, Status
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
        replaced: What `leaderboard.board.replaced` reads.
        stored: Run ids of the rows whose sentences are stored.
        recomputed: What verification recomputed; `shown` and `paired_j` put it in place of the stored values.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    j: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    verifications: dict[str, Verification] = field(default_factory=dict)
    recomputed: dict[str, Recomputed] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)
    stored: frozenset[str] = frozenset()

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
        """The rows that no other row replaces.

        A newer row of the same name and submitter replaces nothing by itself: nobody owns a name, and anybody may state
        a submitter.
        """
        rows = sorted(self.rows.values(), key=lambda row: (row.date, row.run_id))
        return [row for row in rows if self.successor(row) is None]

    def successor(self, row: Row) -> Row | None:
        """Return the row that replaces `row`; None if none does, or if rows replace each other in a circle.

        If that row is replaced in turn, the last row of the chain that can have a rank counts. A row that can have
        none, such as one without stored texts, replaces only another such row: otherwise a system would lose its rank.
        A row whose verification says mismatch replaces nothing.
        """
        seen = {row.run_id}
        last, valid, rankable = row, None, None
        while (new := self.rows.get(self.replaced.get(last.run_id, ""))) and is_replacement(last, new):
            if new.run_id in seen:
                return None
            seen.add(new.run_id)
            last = new
            if not self.disproved(new):
                valid, rankable = new, new if self._can_rank(new) else rankable
        return rankable if rankable or self._can_rank(row) else valid

    def disproved(self, row: Row) -> bool:
        """Return whether the stored verification of this version of a row says mismatch, as `status` then does."""
        verification = self.verifications.get(row.run_id)
        return verification is not None and (verification.status, verification.row) == ("mismatch", row.sha256)

    def _can_rank(self, row: Row) -> bool:
        """Whether a row can have a rank if no verification disproves it; J itself is read of latest rows only."""
        return row.record == "measured" and row.complete and row.run_id in self.stored

    def _recomputed(self, row: Row) -> Recomputed | None:
        """The values that the row's verification recomputed; None for rows that are not verified."""
        one = self.recomputed.get(row.run_id)
        return one if one is not None and one.row == row.sha256 and self.status(row).status == "verified" else None

    def shown(self, row: Row) -> Row:
        """Return a row as tables show it: with recomputed values if it is verified, so that no rounding wins."""
        one = self._recomputed(row)
        return row if one is None else one.in_place(row)

    def paired_j(self, row: Row) -> np.ndarray[Any, Any]:
        """Return J of each sentence [n] of a row in `j`, for the paired tests: recomputed if the row is verified."""
        one = self._recomputed(row)
        return self.j[row.run_id] if one is None else one.j

    def ranked(self, row: Row) -> bool:
        """Return whether a row has a rank: measured, complete, with stored outputs, and not a mismatch."""
        n = row.test_set.n
        # Rows of one ranking have J's of one length, or no paired test is possible.
        stored = len(self.j.get(row.run_id, ())) == n and row.signed_n in ("", str(n))
        return row.record == "measured" and row.complete and stored and self.status(row).status != "mismatch"

    @cached_property
    def _ranks(self) -> dict[str, int]:
        """Rank by run id: one more than the number of comparable rows whose J is higher by more than `TOLERANCE`."""
        groups: dict[str, list[Row]] = {}
        for row in filter(self.ranked, self.latest):
            groups.setdefault(self._group(row), []).append(row)
        ranks: dict[str, int] = {}
        for rows in groups.values():
            values = np.array([self._j(row) for row in rows])
            # The margin keeps rounding errors of the sum from deciding.
            better = len(rows) - np.searchsorted(np.sort(values), values + TOLERANCE + 1e-9, side="right")
            ranks |= {row.run_id: 1 + int(count) for row, count in zip(rows, better, strict=True)}
        return ranks

    @cached_property
    def rankings(self) -> list[list[Row]]:
        """The latest rows in groups of comparable rows, best first; rows of one rank by name, unranked rows last.

        Groups with ranked rows come first, then groups with more sentences; of two versions of a profile, the newer.
        """

        def order(row: Row) -> tuple[bool, float, str, str]:
            ranked = self.ranked(row)
            return not ranked, self._ranks[row.run_id] if ranked else -self._j(row), row.system.name, row.run_id

        groups: dict[str, list[Row]] = {}
        for row in sorted(self.latest, key=order):
            groups.setdefault(self._group(row), []).append(row)
        newest: dict[str, int] = {}
        for name, version in map(_versioned, (ranking[0] for ranking in groups.values())):
            newest[name] = max(version, newest.get(name, 0))

        def place(ranking: list[Row]) -> tuple[str, bool, int, bool, int, str]:
            first = ranking[0]
            name, version = _versioned(first)
            sizes = -(first.test_set.n or 0), version < newest[name], -len(ranking)
            return first.record, not self.ranked(first), *sizes, first.comparable

        return sorted(groups.values(), key=place)

    def _group(self, row: Row) -> str:
        """What the rows of one ranking share. Older signatures do not tell n apart, so that it stands beside them."""
        return row.comparable if row.signed_n or row.source else f"{row.comparable} {row.test_set.n}"

    def _j(self, row: Row) -> float:
        scores = self.shown(row).scores
        return scores["j"].mean if "j" in scores else float("-inf")

    @cached_property
    def placings(self) -> dict[str, Placing]:
        """The places of the ranked rows, by run id; rows whose J's the tolerance could exchange share a rank."""
        placings = {}
        for ranking in self.rankings:
            rows = [row for row in ranking if self.ranked(row)]
            letters = tie_letters(significant_pairs(np.stack([self.paired_j(row) for row in rows]))) if rows else []
            for row, numbers in zip(rows, letters, strict=True):
                placings[row.run_id] = Placing(self._ranks[row.run_id], format_letters(numbers))
        return placings

    def placing(self, row: Row) -> Placing:
        """Return the place of a row."""
        return self.placings.get(row.run_id, Placing())

    def with_entries(self, entries: Mapping[str, Entry]) -> Self:
        """Return this board with `entries` (by run id) added."""
        rows = {run: row for run, (row, _) in entries.items()}
        j = {run: sentences.values["j"] for run, (_, sentences) in entries.items() if sentences is not None}
        return replace(self, rows={**self.rows, **rows}, j={**self.j, **j}, stored=self.stored | j.keys())


def _versioned(row: Row) -> tuple[str, int]:
    """Return what a row's profile has in common with its other versions on the same test set, and the version."""
    profile, _, version = row.profile.rpartition(".v")
    known = bool(profile) and version.isdecimal()
    return f"{row.test_set.name} {row.test_set.lang} {profile if known else row.profile}", int(version) if known else 0
