"""A system's scores by slice, and J of two systems by the slices that they share."""

import html
from collections.abc import Iterable

from leaderboard.rows.sentences import Sentences
from leaderboard.space.data import Leaderboard
from leaderboard.space.escaping import to_html
from leaderboard.space.views.tables import headings, number, number_cells, table
from metrics.scoring import FACTORS
from metrics.scoring.slices import SLICINGS, slice_scores
from metrics.util.errors import InputError

_EXPLANATION = (
    "Rules on the source's text decide the kind of toxicity and the length. The lowest of STA, SIM and FL is the "
    "metric that sank a sentence whose J is below one half. The means of few sentences are rough."
)


def render_slices(board: Leaderboard, key: str | None) -> str:
    """Return the mean scores of each slice of the record `key` as HTML; "" if no sentences are stored."""
    if not key or key not in board.records:
        return ""
    try:
        slices = slice_scores(board.sentences(key).scored)
    except InputError:
        # The table of sentences below says so.
        return ""
    # J first, as in the ranking: a phone shows the left columns.
    metrics = ("j", *FACTORS)
    head = headings(["n", *map(str.upper, metrics)], numeric=True)
    tables = []
    for slicing in SLICINGS:
        own = [one for one in slices if one.slicing == slicing]
        if own:
            rows = [_row(s.name, f"{s.n:,}", *(number(getattr(s, metric)) for metric in metrics)) for s in own]
            tables.append(_table(slicing, head, rows))
    return f'<h2>Scores by slice</h2><p>{_EXPLANATION}</p><div class="slices">{"".join(tables)}</div>'


def render_paired_slices(left: Sentences, right: Sentences) -> str:
    """Return J of two systems on the same sentences by kind of toxicity and by length, as HTML."""
    head = headings(["n", "J, first", "J, second", "Difference"], numeric=True)
    sides = ([s for s in slice_scores(x.scored) if SLICINGS[s.slicing].of_source] for x in (left, right))
    pairs = list(zip(*sides, strict=True))
    tables = []
    for slicing in dict.fromkeys(first.slicing for first, _ in pairs):
        own = [(first, second) for first, second in pairs if first.slicing == slicing]
        rows = [_row(a.name, f"{a.n:,}", number(a.j), number(b.j), f"{a.j - b.j:+.3f}") for a, b in own]
        tables.append(_table(slicing, head, rows))
    return f'<h2>J by slice</h2><div class="slices">{"".join(tables)}</div>'


def _row(name: str, *numbers: str) -> str:
    return f'<tr><th scope="row">{to_html(name)}</th>{number_cells(numbers)}</tr>'


def _table(slicing: str, head: str, rows: Iterable[str]) -> str:
    title = SLICINGS[slicing].title
    name = html.escape(title[0].upper() + title[1:])
    return table("slice", headings([name]) + head, rows, f"Scores by {html.escape(title)}")
