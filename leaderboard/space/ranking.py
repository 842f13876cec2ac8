"""The ranking: rows filtered, sorted and paged in memory, as a semantic HTML table."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from leaderboard.space.data import Group, Record
from leaderboard.space.shown import MAX_NAME, NOTHING, attribute, outside, shown
from metrics.scoring import METRICS

PAGE_ROWS = 50
MAX_PUBLISHED = 200
ANY = "any"
UNKNOWN = "unknown"
# Parameters: at least, and less than.
SIZES: dict[str, tuple[float, float]] = {
    "none": (0, 1),
    "under 200M": (1, 200e6),
    "200M to 1B": (200e6, 1e9),
    "1B to 4B": (1e9, 4e9),
    "4B and more": (4e9, float("inf")),
}
CHOICES = {
    "kind": ("model", "outputs", "baseline", "human"),
    "size": (*SIZES, UNKNOWN),
    "parallel": ("used", "not used", UNKNOWN),
    "verification": ("verified", "unchecked", "unverifiable", "mismatch"),
    "contamination": ("clean", "contaminated", UNKNOWN),
}
_PARALLEL = {True: "used", False: "not used", None: UNKNOWN}


@dataclass(frozen=True)
class Filters:
    """What of a group is shown; `ANY` of a field keeps all. search: words that must all occur."""

    search: str = ""
    kind: str = ANY
    size: str = ANY
    parallel: str = ANY
    verification: str = ANY
    contamination: str = ANY

    def apply(self, group: Group) -> list[Record]:
        """The rows of the group that pass, in its order."""
        words = self.search.casefold().split()
        tests: list[Callable[[Record], bool]] = []
        for field in ("kind", "verification", "contamination"):
            wanted = getattr(self, field)
            if wanted != ANY:
                tests.append(lambda record, field=field, wanted=wanted: record[field] == wanted)  # type: ignore[misc]
        if self.size != ANY:
            tests.append(lambda record: _size_class(record["size"]) == self.size)
        if self.parallel != ANY:
            tests.append(lambda record: _PARALLEL[record["parallel_data"]] == self.parallel)
        return [
            record
            for record, haystack in zip(group.records, group.haystacks, strict=True)
            if all(word in haystack for word in words) and all(test(record) for test in tests)
        ]


def _size_class(size: int | None) -> str:
    if size is None:
        return UNKNOWN
    return next((name for name, (low, high) in SIZES.items() if low <= size < high), UNKNOWN)


@dataclass(frozen=True)
class View:
    """How the rows that pass are laid out. page: from 0."""

    sort: str = "rank"
    descending: bool = False
    page: int = 0

    def sorted_by(self, column: str) -> View:
        """Another column; the same one again turns the order. Scores start with the highest."""
        if column not in COLUMNS:
            return self
        if column == self.sort:
            return replace(self, descending=not self.descending, page=0)
        return View(column, COLUMNS[column].numeric and column != "rank")

    def apply(self, records: Sequence[Record]) -> list[Record]:
        """The records in order; those without a value come last either way."""
        known = [r for r in records if r[self.sort] not in (None, "")]
        text = not COLUMNS[self.sort].numeric
        known.sort(key=lambda r: str(r[self.sort]).casefold() if text else r[self.sort], reverse=self.descending)
        return known + [r for r in records if r[self.sort] in (None, "")]


# -- columns ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Column:
    """title: in the head. cell: the value of a record as HTML. numeric: sorted as numbers, set flush right."""

    title: str
    cell: Callable[[Record], str]
    numeric: bool = False
    about: str = ""


def number(value: float | None, digits: int = 3) -> str:
    return NOTHING if value is None else f"{value:.{digits}f}"


def score(record: Record, metric: str) -> str:
    """A mean and its interval as HTML; figures without an interval alone."""
    low, high = record[f"{metric}_low"], record[f"{metric}_high"]
    interval = f' <span class="interval">[{low:.3f}, {high:.3f}]</span>' if None not in (low, high) else ""
    return f"{number(record[metric])}{interval}"


def size(parameters: int | None) -> str:
    if parameters is None:
        return NOTHING
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if parameters >= unit:
            return f"{parameters / unit:.3g}{name}"
    return str(parameters)


def status(record: Record) -> str:
    """What a re-computation found, as a badge."""
    found = str(record["verification"] or "unchecked")
    known = found if found in CHOICES["verification"] else "unchecked"
    return f'<span class="badge {known}">{shown(found, 20)}</span>'


def _name(record: Record) -> str:
    name = str(record["system"])
    return (
        f'<button type="button" class="name" data-event="choose" data-value="{record["key"]}" '
        f'aria-label="Details of {attribute(name)}">{shown(name, MAX_NAME)}</button>'
    )


def _rank(record: Record) -> str:
    if record["rank"] is not None:
        return str(record["rank"])
    missing = [metric.upper() for metric in METRICS if record[metric] is None]
    other = "its outputs score differently" if record["verification"] == "mismatch" else "no outputs stored"
    why = f"no {', '.join(missing)}" if missing else other
    return f'<span class="nothing" title="no rank: {why}">–<span class="hidden"> no rank: {why}</span></span>'


def _text(name: str, limit: int = MAX_NAME) -> Callable[[Record], str]:
    return lambda record: shown(record[name], limit)


def _number(name: str, digits: int = 3) -> Callable[[Record], str]:
    return lambda record: number(record[name], digits)


def _score(metric: str) -> Callable[[Record], str]:
    return lambda record: score(record, metric)


COLUMNS = {
    "rank": Column("Rank", _rank, True),
    "system": Column("System", _name),
    "ties": Column("Ties", _text("ties", 20), about="systems that share a letter are not told apart by a paired test"),
    "j": Column("J", _score("j"), True, "joint score: the mean of STA · SIM · FL"),
    "sta": Column("STA", _score("sta"), True, "style accuracy: not toxic any more"),
    "sim": Column("SIM", _score("sim"), True, "similarity: still means the same"),
    "fl": Column("FL", _score("fl"), True, "fluency: acceptable language"),
    "verification": Column("Checked", status, about="whether the scores followed from the stored outputs"),
    "kind": Column("Kind", _text("kind")),
    "size": Column("Size", lambda r: size(r["size"]), True, "parameters"),
    "parallel_data": Column(
        "Parallel data", lambda r: _PARALLEL[r["parallel_data"]], about="toxic texts with rewrites"
    ),
    "contamination": Column("Test set seen", _text("contamination"), about="whether it was trained on the test set"),
    "base": Column("Base model", _text("base")),
    "licence": Column("Licence", _text("licence")),
    "training_data": Column("Training data", lambda r: shown(", ".join(map(str, r["training_data"] or ())))),
    "soft_sta": Column("Soft STA", _number("soft_sta"), True, "mean probability that it is not toxic"),
    "soft_fl": Column("Soft FL", _number("soft_fl"), True, "mean probability that it is acceptable"),
    "length_ratio": Column("Length", _number("length_ratio", 2), True, "words of the output over words of the source"),
    "copies": Column("Copies", _number("copies"), True, "share of outputs that are their source"),
    "empty": Column("Empty", _number("empty", 0), True, "outputs without a word"),
    "seconds": Column("Seconds", _number("seconds", 0), True, "for writing all outputs"),
    "device": Column("Device", _text("device")),
    "n": Column("n", _number("n", 0), True, "sentences"),
    "note": Column("Note", _text("note", 200)),
    "submitter": Column("Submitter", _text("submitter")),
    "date": Column("Date", _text("date")),
    "run_id": Column("Run", _text("run_id")),
}
FIXED = ("rank", "system")
DEFAULT = ("ties", "j", "sta", "sim", "fl", "verification", "kind", "size", "parallel_data", "contamination")


# -- tables -----------------------------------------------------------------------------------------------------------
def ranking(group: Group | None, filters: Filters, chosen: Sequence[str], view: View) -> str:
    """One page of the ranking as HTML."""
    if group is None:
        return '<p role="status">No measured rows yet. The tab “Submit” says how to add the first.</p>'
    found = view.apply(filters.apply(group))
    pages = max(1, -(-len(found) // PAGE_ROWS))
    page = min(max(view.page, 0), pages - 1)
    first = page * PAGE_ROWS
    names = [*FIXED, *(name for name in COLUMNS if name in chosen and name not in FIXED)]
    head = "".join(_head(name, view) for name in names)
    body = "".join(_row(record, names) for record in found[first : first + PAGE_ROWS])
    count = f"{first + 1:,}–{min(first + PAGE_ROWS, len(found)):,} of {len(found):,}" if found else "none"
    of = f" (of {len(group.records):,})" if len(found) < len(group.records) else ""
    return (
        f'<div class="above"><p role="status">Systems: {count}{of}</p>{pager(page, pages)}</div>'
        f'<div class="box" tabindex="0" role="region" aria-label="Ranking, scrolls sideways">'
        f'<table class="ranking"><caption>{shown(group.label)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        "<p>Brackets hold 95 % intervals by the bootstrap over sentences. Systems that share a letter are not told "
        "apart by a paired test at 5 %. Ranks hold within the test set and profile chosen above.</p>"
    )


def _head(name: str, view: View) -> str:
    column = COLUMNS[name]
    here = name == view.sort
    order = ("descending" if view.descending else "ascending") if here else "none"
    arrow = f'<span aria-hidden="true">{"▾" if view.descending else "▴"}</span>' if here else ""
    about = f' title="{html.escape(column.about)}"' if column.about else ""
    return (
        f'<th scope="col" class="{_classes(name)}" aria-sort="{order}">'
        f'<button type="button" data-event="sort" data-value="{name}"{about}>{column.title}{arrow}</button></th>'
    )


def _row(record: Record, names: Sequence[str]) -> str:
    cells = []
    for name in names:
        tag = 'th scope="row"' if name == "system" else "td"
        cells.append(f'<{tag} class="{_classes(name)}">{COLUMNS[name].cell(record)}</{tag.split()[0]}>')
    return f"<tr>{''.join(cells)}</tr>"


def _classes(name: str) -> str:
    return f"c-{name}{' number' if COLUMNS[name].numeric else ''}"


def pager(page: int, pages: int) -> str:
    """Buttons to the pages beside this one; nothing where there is one page only. page: from 0."""
    if pages < 2:
        return ""

    def button(text: str, to: int) -> str:
        off = "" if 0 <= to < pages else " disabled"
        return f'<button type="button" class="plain" data-event="turn" data-value="{to}"{off}>{text}</button>'

    return (
        f'<nav class="pager" aria-label="Pages">{button("‹ Previous", page - 1)}'
        f"<span>Page {page + 1:,} of {pages:,}</span>{button('Next ›', page + 1)}</nav>"
    )


def published(records: Sequence[Record]) -> str:
    """Figures of papers, each with its source, as HTML: a table of its own, since no ranking can hold them."""
    if not records:
        return ""
    rows = []
    for r in records[:MAX_PUBLISHED]:
        source = outside(str(r["source_url"] or ""), shown(r["source"] or r["source_url"], 200))
        scores = "".join(f'<td class="number">{number(r[metric])}</td>' for metric in ("j", "sta", "sim", "fl"))
        cells = "".join(f"<td>{shown(r[name], MAX_NAME)}</td>" for name in ("test_set", "profile"))
        rows.append(f'<tr><th scope="row">{_name(r)}</th>{scores}{cells}<td>{source}</td></tr>')
    heads = [("System", ""), *((name, "number") for name in ("J", "STA", "SIM", "FL"))]
    heads += [(name, "") for name in ("Test set", "Protocol", "Source")]
    head = "".join(f'<th scope="col" class="{css}">{title}</th>' for title, css in heads)
    more = f" The first {MAX_PUBLISHED} of {len(records):,}." if len(records) > MAX_PUBLISHED else ""
    return (
        "<h2>Published figures</h2><p>Taken from papers, not measured here: other test sets, classifiers, thresholds "
        "and decodings. A J of one protocol cannot be compared with that of another, nor with the ranking above, so "
        f"that these rows have no rank and no interval.{more}</p>"
        '<div class="box" tabindex="0" role="region" aria-label="Published figures, scroll sideways">'
        f'<table class="published"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def records_shown(group: Group | None, filters: Filters, view: View) -> list[Record]:
    """All rows of the ranking as it is shown, over all its pages."""
    return view.apply(filters.apply(group)) if group else []


def column_choices() -> list[tuple[str, str]]:
    """(title, name) of the columns that can be switched off."""
    return [(column.title, name) for name, column in COLUMNS.items() if name not in FIXED]


def page_of(value: Any) -> int:
    """The page that a button asked for; the first if what a browser sent is no number."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 9 else 0
