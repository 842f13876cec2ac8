"""Which rows of a group the page shows, and in which order."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from leaderboard.space.data import Group, Record
from leaderboard.space.views.columns import COLUMNS, PARALLEL, STATUSES, UNKNOWN
from metrics.util.files import content_hash

ANY = "any"
# Of the search field; the browser's own limit binds only the browser.
MAX_SEARCH, MAX_WORDS = 200, 8
# Each class by the number of parameters below which it ends.
_SIZES = {"none": 1, "under 200M": 200e6, "200M to 1B": 1e9, "1B to 4B": 4e9, "4B and more": math.inf}
CHOICES = {
    "kind": ("model", "outputs", "baseline", "human"),
    "size": (*_SIZES, UNKNOWN),
    "parallel": ("used", "not used", UNKNOWN),
    "verification": STATUSES,
    "contamination": ("clean", "contaminated", UNKNOWN),
}


@dataclass(frozen=True)
class Filters:
    """The filters of the page: one of `CHOICES` per field, or `ANY`.

    Attributes:
        search: Words that must all occur in the record's search text.
    """

    search: str = ""
    kind: str = ANY
    size: str = ANY
    parallel: str = ANY
    verification: str = ANY
    contamination: str = ANY

    @property
    def refusal(self) -> str:
        """Why the search is not run, "" for nothing: its time grows with the words, and everybody waits for it."""
        if len(self.search) > MAX_SEARCH or len(self.search.split()) > MAX_WORDS:
            return f"Search takes at most {MAX_WORDS} words and {MAX_SEARCH} characters."
        return ""

    def apply(self, group: Group) -> list[Record]:
        """Return the records of the group that pass, in the group's order; none if the search is refused."""
        if self.refusal:
            return []
        # One criterion after the other: each reads only what the one before has left.
        left = list(zip(group.records, group.search_texts, strict=True))
        for word in dict.fromkeys(self.search.casefold().split()):
            left = [pair for pair in left if word in pair[1]]
        for field in CHOICES:
            if (choice := getattr(self, field)) != ANY:
                left = [pair for pair in left if _class(pair[0], field) == choice]
        return [record for record, _ in left]


def _class(record: Record, field: str) -> Any:
    """Which of `CHOICES[field]` a record belongs to."""
    if field == "parallel":
        return PARALLEL[record["parallel_data"]]
    if field == "size":
        size = record["size"]
        return next((name for name, end in _SIZES.items() if size is not None and 0 <= size < end), UNKNOWN)
    return record[field]


@dataclass(frozen=True)
class TableState:
    """The column by which the ranking is sorted, and its page, from 0.

    Attributes:
        rows: A hash of the rows to which the page belongs: for others, the table starts with its first page.
    """

    sort: str = "rank"
    descending: bool = False
    page: int = 0
    rows: str = ""

    @property
    def text(self) -> str:
        """The state as the page's address holds it: "-j" or "-j.2.ab12cd34"."""
        page = f".{self.page}.{self.rows}" if self.page else ""
        return f"{'-' if self.descending else ''}{self.sort}{page}"

    @classmethod
    def parse(cls, text: Any) -> "TableState":
        """Return the state in a text, which may come from anybody; the ranking's own order for any other text."""
        match = re.fullmatch(r"(-?)(\w{1,40})(?:\.(\d{1,8})\.(\w{1,64}))?", str(text or ""), re.ASCII)
        if match is None or match[2] not in COLUMNS:
            return cls()
        return cls(match[2], bool(match[1]), int(match[3] or 0), match[4] or "")

    def of(self, *rows: Any) -> "TableState":
        """Return the state for these rows (any values that identify them): on its page only if it was theirs."""
        key = content_hash([str(part) for part in rows])[:8]
        return replace(self, page=self.page if key == self.rows else 0, rows=key)

    def sorted_by(self, column: str) -> "TableState":
        """Return the state after a click on a heading: scores start with the highest, a second click reverses."""
        if column not in COLUMNS:
            return self
        if column == self.sort:
            return replace(self, descending=not self.descending, page=0)
        return TableState(column, COLUMNS[column].numeric and column != "rank", rows=self.rows)

    def apply(self, records: Sequence[Record]) -> list[Record]:
        """Return the records sorted; those without a value come last in both directions."""
        known = [r for r in records if r[self.sort] not in (None, "")]
        text = not COLUMNS[self.sort].numeric
        known.sort(key=lambda r: str(r[self.sort]).casefold() if text else r[self.sort], reverse=self.descending)
        return known + [r for r in records if r[self.sort] in (None, "")]


def select(group: Group | None, filters: Filters, state: TableState) -> list[Record]:
    """Return all records of the ranking, over all its pages."""
    return state.apply(filters.apply(group)) if group else []
