"""The tables of the page: cells, boxes that scroll, and pages of rows."""

from collections.abc import Iterable
from typing import Any

from leaderboard.space.escaping import MISSING
from metrics.util.files import content_hash


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with `digits` decimals, a dash for None."""
    return MISSING if value is None else f"{value:.{digits}f}"


def table(css: str, head: str, rows: Iterable[str], label: str, caption: str = "") -> str:
    """Return a table in a box that scrolls sideways; all is HTML but its class `css` and the box's `label`."""
    caption = f"<caption>{caption}</caption>" if caption else ""
    head, body = f"<thead><tr>{head}</tr></thead>", f"<tbody>{''.join(rows)}</tbody>"
    return scroll_box(f'<table class="{css}">{caption}{head}{body}</table>', label)


def scroll_box(content: str, label: str, css: str = "box") -> str:
    """Return a box around `content` (HTML) that scrolls sideways; `label` names it for screen readers."""
    return f'<div class="{css}" tabindex="0" role="region" aria-label="{label}, scrolls sideways">{content}</div>'


def headings(names: Iterable[str], numeric: bool = False) -> str:
    """Return the head cells of columns, as HTML; `names` are HTML."""
    css = ' class="number"' if numeric else ""
    return "".join(f'<th scope="col"{css}>{name}</th>' for name in names)


def number_cells(values: Iterable[str]) -> str:
    """Return the cells of numbers, as HTML."""
    return "".join(f'<td class="number">{value}</td>' for value in values)


def page_bounds(total: int, size: int, page: int) -> tuple[int, int]:
    """Return (page, number of pages): the page nearest to `page`, from 0, that exists; `size` rows per page."""
    pages = max(1, -(-total // size))
    return min(max(page, 0), pages - 1), pages


def page_number(value: Any) -> int:
    """Return the page that a button's event names; 0 if the browser sent anything but a page."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 9 else 0


def page_text(page: int, *sentences: Any) -> str:
    """Return a page as the address holds it, with a hash of what it is a page of; "" for the first page."""
    return f"{page}.{content_hash([str(part) for part in sentences])[:8]}" if page else ""


def page_at(text: Any, *sentences: Any) -> int:
    """Return the page in the result of `page_text`; 0 if it is a page of something else."""
    number, _, key = str(text or "").partition(".")
    page = page_number(number)
    return page if page and page_text(page, *sentences) == f"{page}.{key}" else 0


def above_table(count: str, page: int, pages: int) -> str:
    """Return the line above a table: `count` (HTML), which screen readers announce, and buttons that turn the page."""

    def button(text: str, to: int) -> str:
        off = "" if 0 <= to < pages else " disabled"
        return f'<button type="button" class="plain" data-event="turn" data-value="{to}"{off}>{text}</button>'

    pager = (
        f'<nav class="pager" aria-label="Pages">{button("‹ Previous", page - 1)}'
        f"<span>Page {page + 1:,} of {pages:,}</span>{button('Next ›', page + 1)}</nav>"
    )
    return f'<div class="above"><p role="status">{count}</p>{pager if pages > 1 else ""}</div>'
