"""The ranking as an HTML table, CSV and Parquet, and the published figures."""

import csv
import html
import io
from collections.abc import Sequence

import pyarrow as pa

from leaderboard.space.data import Group, Leaderboard, Record
from leaderboard.space.escaping import MAX_NAME, external_link, to_csv_cell, to_html
from leaderboard.space.views.columns import COLUMNS, DEFAULT, FIXED, system_name
from leaderboard.space.views.picture import YARDSTICKS
from leaderboard.space.views.selection import Filters, TableState, select
from leaderboard.space.views.tables import above_table, headings, number, number_cells, page_bounds, table
from metrics.data.parquet import write_parquet

PAGE_ROWS = 50
MAX_PUBLISHED = 200
# Of the references and baselines that stand above the systems, on every page.
MAX_YARDSTICKS = 12


def render_ranking(group: Group | None, filters: Filters, columns: Sequence[str], state: TableState) -> str:
    """Return one page of the ranking as HTML.

    Args:
        group: The rows to rank; None if the leaderboard has no measured rows.
        filters: Which rows to show.
        columns: The columns to show beside rank and system.
        state: The order of the rows, and the page to show.
    """
    if group is None:
        return '<p role="status">No measured rows yet. The tab “Submit” says how to add the first.</p>'
    if filters.refusal:
        return f'<p role="status">{filters.refusal}</p>'
    records = select(group, filters, state)
    systems = [r for r in records if r["kind"] not in YARDSTICKS]
    yardsticks = [r for r in records if r["kind"] in YARDSTICKS][:MAX_YARDSTICKS]
    page, pages = page_bounds(len(systems), PAGE_ROWS, state.page)
    first, last = page * PAGE_ROWS, min((page + 1) * PAGE_ROWS, len(systems))
    apart = f"; above them {len(yardsticks):,} references and baselines" if yardsticks else ""
    names = [*FIXED, *(name for name in COLUMNS if name in columns and name not in FIXED)]
    count = f"{first + 1:,}–{last:,} of {len(systems):,}" if systems else "none"
    hidden = len(group.records) - len(records)
    total = f" ({hidden:,} rows do not pass the filters)" if hidden else ""
    head = "".join(_heading(name, state) for name in names)
    parts = {"References and baselines: what to beat": yardsticks, "Systems": systems[first:last]}
    rows = [line for title, part in parts.items() if part for line in _part(title, part, names)]
    css = "ranking fits" if set(names) <= {*FIXED, *DEFAULT} else "ranking"
    return (
        f"{above_table(f'Systems: {count}{total}{apart}', page, pages)}{_about_rows(names, state)}"
        f"{table(css, head, rows, 'Ranking', to_html(group.label))}"
        "<p>The lines on the bars are 95 % bootstrap intervals over sentences; point at a row, or reach it with the "
        "keyboard, to read them. Ranks hold within the test set and profile chosen above.</p>"
    )


def _about_rows(names: Sequence[str], state: TableState) -> str:
    """How the rows are ordered, and what ranks and ties mean."""
    order = f"Each part is ordered by {COLUMNS[state.sort].title}; ranks count the rows of both parts."
    ties = (
        " Ties: a paired test (each pair at 5 %, not corrected for the number of pairs) finds no difference between "
        "rows that share a letter."
    )
    return f'<p class="source">{order}{ties if "ties" in names else ""}</p>'


def _part(title: str, records: Sequence[Record], names: Sequence[str]) -> list[str]:
    """The rows of a part of the ranking, under a row with its title."""
    head = f'<tr class="part-title"><th scope="rowgroup" colspan="{len(names)}"><span>{title}</span></th></tr>'
    return [head, *(_row(record, names) for record in records)]


def _heading(name: str, state: TableState) -> str:
    column = COLUMNS[name]
    sorts = name == state.sort
    order = ("descending" if state.descending else "ascending") if sorts else "none"
    arrow = f'<span aria-hidden="true">{"▾" if state.descending else "▴"}</span>' if sorts else ""
    title = f' title="{html.escape(column.help)}"' if column.help else ""
    return (
        f'<th scope="col" class="{_css(name)}" aria-sort="{order}">'
        f'<button type="button" data-event="sort" data-value="{name}"{title}>{column.title}{arrow}</button></th>'
    )


def _row(record: Record, names: Sequence[str]) -> str:
    cells = []
    for name in names:
        tag = 'th scope="row"' if name == "system" else "td"
        cells.append(f'<{tag} class="{_css(name)}">{COLUMNS[name].cell(record)}</{tag.split()[0]}>')
    return f"<tr>{''.join(cells)}</tr>"


def _css(name: str) -> str:
    return f"c-{name}{' number' if COLUMNS[name].numeric else ''}"


def render_published(records: Sequence[Record]) -> str:
    """Return the figures of papers, each with its source, as HTML; they have no rank, so the table is their own."""
    if not records:
        return ""
    metrics, rows = ("j", "sta", "sim", "fl"), []
    for r in records[:MAX_PUBLISHED]:
        source = external_link(str(r["source_url"] or ""), to_html(r["source"] or r["source_url"], 200))
        scores = number_cells(number(r[metric]) for metric in metrics)
        cells = "".join(f"<td>{to_html(r[name], MAX_NAME)}</td>" for name in ("test_set", "profile"))
        rows.append(f'<tr><th scope="row">{system_name(r)}</th>{scores}{cells}<td>{source}</td></tr>')
    head = headings(["System"]) + headings((metric.upper() for metric in metrics), numeric=True)
    head += headings(("Test set", "Protocol", "Source"))
    more = f" The first {MAX_PUBLISHED} of {len(records):,}." if len(records) > MAX_PUBLISHED else ""
    return (
        "<h2>Published figures</h2><p>Taken from papers, not measured here. Their test sets, classifiers, thresholds "
        "and decoding settings differ. J under one protocol cannot be compared with J under another or with the "
        f"ranking, so these rows have no rank and no interval.{more}</p>"
        f"{table('published', head, rows, 'Published figures')}"
    )


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
    places = pa.array([record["place"] for record in records], type=pa.int64())
    return write_parquet(board.table.take(places))
