"""A system's outputs, sentence by sentence, beside the sources and the human rewrites."""

from __future__ import annotations

from leaderboard.space.data import Leaderboard, Record
from leaderboard.space.ranking import pager
from leaderboard.space.rude import softened
from leaderboard.space.shown import MAX_NAME, shown
from metrics.scoring import METRICS
from metrics.util.errors import InputError

PAGE_SENTENCES = 20
ORDERS = {"As in the test set": 0, "Lowest J first": 1, "Highest J first": -1}


def outputs(board: Leaderboard, key: str | None, order: str, show_rude: bool, page: int) -> str:
    """A page of a system's sentences as HTML, or why there are none."""
    record = board.records.get(key or "")
    if record is None:
        return ""
    try:
        sentences = board.sentences(record["key"])
    except InputError as error:
        return f"<p>No outputs to show: {shown(error)}.</p>"
    references = _references(board, record, sentences.source)
    places = list(range(len(sentences.source)))
    sign = ORDERS.get(order, 0)
    if sign:
        places.sort(key=lambda i: sign * sentences.values["j"][i])
    pages = max(1, -(-len(places) // PAGE_SENTENCES))
    page = min(max(page, 0), pages - 1)
    names = ["Source", "Human rewrite", "Output"] if references else ["Source", "Output"]
    rows = []
    for i in places[page * PAGE_SENTENCES : (page + 1) * PAGE_SENTENCES]:
        texts = [sentences.source[i], *([references[i]] if references else []), sentences.output[i]]
        cells = "".join(f'<td class="text">{softened(text, show_rude)}</td>' for text in texts)
        scores = "".join(f'<td class="number">{sentences.values[metric][i]:.3f}</td>' for metric in METRICS)
        rows.append(f'<tr><th scope="row" class="number">{i + 1:,}</th>{cells}{scores}</tr>')
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    head += "".join(f'<th scope="col" class="number">{metric.upper()}</th>' for metric in METRICS)
    return (
        f'<div class="above"><p role="status">{len(places):,} sentences</p>{pager(page, pages)}</div>'
        '<div class="box" tabindex="0" role="region" aria-label="Sentences, scroll sideways"><table class="sentences">'
        f"<caption>Outputs of {shown(record['system'], MAX_NAME)}</caption>"
        f'<thead><tr><th scope="col" class="number">#</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _references(board: Leaderboard, record: Record, sources: tuple[str, ...]) -> tuple[str, ...]:
    """The human rewrites of the same sentences; empty where there are none, or where they are what is shown."""
    group = board.group_of(record["key"])
    reference = group.reference if group else None
    if reference is None or reference["key"] == record["key"]:
        return ()
    try:
        sentences = board.sentences(reference["key"])
    except InputError:
        return ()
    return sentences.output if sentences.source == sources else ()
