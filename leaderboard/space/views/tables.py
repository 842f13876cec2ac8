"""The tables of the page: cells, boxes that scroll, and pages of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from leaderboard.space.escaping import MISSING
from leaderboard.space.rude_words import blur_rude_words

PAGE_SENTENCES = 20


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with `digits` decimals, a dash for None."""
    return MISSING if value is None else f"{value:.{digits}f}"


def table(css: str, head: str, rows: Iterable[str], label: str, caption: str = "") -> str:
    """Return a table in a box that scrolls sideways, as HTML.

    Args:
        css: The table's class.
        head: The cells of its head, as HTML.
        rows: Its rows, as HTML.
        label: The box's name, for screen readers.
        caption: HTML.
    """
    caption = f"<caption>{caption}</caption>" if caption else ""
    return scroll_box(
        f'<table class="{css}">{caption}<thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>', label
    )


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


def pager(page: int, pages: int) -> str:
    """Return buttons to the previous and the next page, as HTML; "" if there is one page. `page` counts from 0."""
    if pages < 2:
        return ""

    def button(text: str, to: int) -> str:
        off = "" if 0 <= to < pages else " disabled"
        return f'<button type="button" class="plain" data-event="turn" data-value="{to}"{off}>{text}</button>'

    return (
        f'<nav class="pager" aria-label="Pages">{button("‹ Previous", page - 1)}'
        f"<span>Page {page + 1:,} of {pages:,}</span>{button('Next ›', page + 1)}</nav>"
    )


def above_table(count: str, page: int, pages: int) -> str:
    """Return the line above a table: `count` (HTML), which screen readers announce, and the pager."""
    return f'<div class="above"><p role="status">{count}</p>{pager(page, pages)}</div>'


def sentence_table(
    order: Sequence[int],
    page: int,
    texts: tuple[Sequence[str], Callable[[int], Sequence[str]]],
    numbers: tuple[Sequence[str], Callable[[int], Sequence[str]]],
    *,
    show_rude: bool,
    caption: str,
) -> str:
    """Return one page of a table of sentences, as HTML.

    Args:
        order: The indices of the sentences in the order of the table.
        page: From 0.
        texts: The columns of text: headings, and a function from a sentence's index to its texts.
        numbers: The columns of numbers: headings, and a function from a sentence's index to formatted numbers.
        show_rude: Whether rude words are shown; otherwise they are blurred.
        caption: HTML.
    """
    page, pages = page_bounds(len(order), PAGE_SENTENCES, page)
    rows = []
    for i in order[page * PAGE_SENTENCES : (page + 1) * PAGE_SENTENCES]:
        cells = "".join(f'<td class="text">{blur_rude_words(text, show_rude)}</td>' for text in texts[1](i))
        rows.append(f'<tr><th scope="row" class="number">{i + 1:,}</th>{cells}{number_cells(numbers[1](i))}</tr>')
    head = headings(["#"], numeric=True) + headings(texts[0]) + headings(numbers[0], numeric=True)
    return above_table(f"{len(order):,} sentences", page, pages) + table("sentences", head, rows, "Sentences", caption)
