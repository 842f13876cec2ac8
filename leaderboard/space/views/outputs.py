"""A system's outputs, sentence by sentence, beside the sources and the human rewrites."""

from __future__ import annotations

import numpy as np

from leaderboard.space.data import Leaderboard, Record
from leaderboard.space.escaping import MAX_NAME, to_html
from leaderboard.space.views.tables import sentence_table
from metrics.scoring import METRICS
from metrics.util.errors import InputError

# The sign by which J is sorted in ascending order; 0: not sorted.
ORDERS = {"As in the test set": 0, "Lowest J first": 1, "Highest J first": -1}


def render_outputs(board: Leaderboard, key: str | None, order: str, show_rude: bool, page: int) -> str:
    """Return a page of a system's sentences as HTML, or the reason why there are none.

    Args:
        board: The leaderboard.
        key: The system's record.
        order: A key of `ORDERS`; the test set's order for any other value.
        show_rude: Whether rude words are shown; otherwise they are blurred.
        page: From 0.
    """
    record = board.records.get(key or "")
    if record is None:
        return ""
    try:
        sentences = board.sentences(record["key"])
    except InputError as error:
        return f"<p>No outputs to show: {to_html(error)}.</p>"
    references = _references(board, record, sentences.source)
    columns = {"Source": sentences.source, "Human rewrite": references, "Output": sentences.output}
    columns = {heading: texts for heading, texts in columns.items() if texts}
    return sentence_table(
        sorted_indices(sentences.values["j"], ORDERS.get(order, 0)),
        page,
        (list(columns), lambda i: [texts[i] for texts in columns.values()]),
        ([m.upper() for m in METRICS], lambda i: [f"{sentences.values[m][i]:.3f}" for m in METRICS]),
        show_rude=show_rude,
        caption=f"Outputs of {to_html(record['system'], MAX_NAME)}",
    )


def sorted_indices(values: np.ndarray, sign: int) -> list[int]:
    """Return the indices of `values` [n] sorted by `sign` times the value, equal ones in order; unsorted for 0."""
    return np.argsort(sign * values, kind="stable").tolist() if sign else list(range(len(values)))


def _references(board: Leaderboard, record: Record, sources: tuple[str, ...]) -> tuple[str, ...]:
    """The human rewrites of the same sentences; empty if there are none, or if `record` itself holds them."""
    group = board.group_of(record["key"])
    reference = group.reference if group else None
    if reference is None or reference["key"] == record["key"]:
        return ()
    try:
        sentences = board.sentences(reference["key"])
    except InputError:
        return ()
    return sentences.output if sentences.source == sources else ()
