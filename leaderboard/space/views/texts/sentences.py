"""Sentence by sentence: the outputs of a system, and the outputs of two systems with a paired test."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from leaderboard.rows.row import TOLERANCE
from leaderboard.rows.sentences import Sentences
from leaderboard.space.data import Leaderboard, Record
from leaderboard.space.escaping import MAX_NAME, blur_rude_words, to_html
from leaderboard.space.views.picture import YARDSTICKS, leader_and_next
from leaderboard.space.views.tables import above_table, headings, number, number_cells, page_bounds, table
from leaderboard.space.views.texts.slices import render_paired_slices
from metrics.scoring import FACTORS, METRICS
from metrics.scoring.statistics import CONFIDENCE, Interval, paired_difference, randomisation_test
from metrics.util.errors import InputError

# The sign by which J, or the difference in J, is sorted in ascending order; 0: not sorted.
OUTPUT_ORDERS = {"As in the test set": 0, "Lowest J first": 1, "Highest J first": -1}
PAIR_ORDERS = {"As in the test set": 0, "First ahead": -1, "Second ahead": 1}
_PAGE_SENTENCES = 20
# Tests of this many pairs stay in memory: one test takes a second for some thousand sentences.
_CACHED_TESTS = 256


def render_outputs(board: Leaderboard, key: str | None, order: str, show_rude: bool, page: int) -> str:
    """Return a page of the sentences of the record `key` as HTML, or the reason why there are none.

    Args:
        board: The leaderboard.
        key: The record; None if no system is chosen.
        order: A key of `OUTPUT_ORDERS`; the test set's order for any other value.
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
    texts = {"Source": sentences.source, "Human rewrite": references, "Output": sentences.output}
    texts = {heading: column for heading, column in texts.items() if column}
    numbers = {metric.upper(): (sentences.values[metric], ".3f") for metric in METRICS}
    if sentences.faults:
        texts["Fault"] = sentences.faults
    factors = np.mean([sentences.values[metric] for metric in FACTORS], axis=0)
    indices = _sorted(sentences.values["j"], OUTPUT_ORDERS.get(order, 0), factors)
    caption = f"Outputs of {to_html(record['system'], MAX_NAME)}"
    return _sentence_table(indices, page, texts, numbers, show_rude=show_rude, caption=caption)


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


class Comparisons:
    """Comparisons of two systems of a leaderboard; the tests of a pair are computed once."""

    def __init__(self, board: Leaderboard) -> None:
        self.board = board
        self._tests = lru_cache(_CACHED_TESTS)(self._test)

    def render(self, first: str | None, second: str | None, order: str, show_rude: bool, page: int) -> str:
        """Return the comparison of two records, by key, as HTML, or the reason why there is none.

        `order` is a key of `PAIR_ORDERS`; otherwise the arguments are those of `render_outputs`.
        """
        if not first or not second:
            return "<p>Choose two systems.</p>"
        try:
            left, right = self._pair(first, second)
        except InputError as error:
            return f'<p role="status">These two cannot be compared: {to_html(error)}.</p>'
        names = [to_html(self.board.records[key]["system"], MAX_NAME) for key in (first, second)]
        difference = np.subtract(*_apart(left.values["j"], right.values["j"]))
        texts = {"Source": left.source, f"First: {names[0]}": left.output, f"Second: {names[1]}": right.output}
        numbers = {f"J, {name}": (side.values["j"], ".3f") for name, side in (("first", left), ("second", right))}
        numbers["Difference"] = (difference, "+.3f")
        indices = _sorted(difference, PAIR_ORDERS.get(order, 0), np.zeros(len(difference)))
        sentences = _sentence_table(indices, page, texts, numbers, show_rude=show_rude, caption="Sentence by sentence")
        return self._summary(first, second, names, left, right) + render_paired_slices(left, right) + sentences

    def render_lead(self, key: str | None) -> str:
        """Return by how much the leader `key` is ahead of the next system, as HTML; "" without stored sentences."""
        group = self.board.group_of(key or "")
        pair = leader_and_next(group.records) if group else []
        if len(pair) < 2 or pair[0]["key"] != key or pair[1]["kind"] in YARDSTICKS:
            return ""
        try:
            left, right = self._pair(*(record["key"] for record in pair))
        except InputError:
            return ""
        first, second = (to_html(record["system"], MAX_NAME) for record in pair)
        difference = paired_difference(*_apart(left.values["j"], right.values["j"]))
        return (
            f"<p>J of {first} minus J of {second}, the next system: {difference} (95 %, paired bootstrap). The tab "
            "Compare shows the two.</p>"
        )

    def _pair(self, first: str, second: str) -> tuple[Sentences, Sentences]:
        """Raises InputError: the same row twice, rows of two groups, rows without stored sentences."""
        board = self.board
        if first == second:
            raise InputError("both are the same row")
        groups = [board.group_of(key) for key in (first, second)]
        if None in groups:
            raise InputError("a published figure has no sentences stored and follows another protocol")
        if groups[0] != groups[1]:
            raise InputError("they were measured on other sentences or by another protocol")
        sentences = []
        for key in (first, second):
            try:
                sentences.append(board.sentences(key))
            except InputError as error:
                raise InputError(f"{board.records[key]['system']}: {error}") from None
        if sentences[0].source != sentences[1].source:
            raise InputError("their files hold different sentences under one signature; one of them was altered")
        return sentences[0], sentences[1]

    def _test(self, first: str, second: str) -> dict[str, tuple[Interval, float]]:
        """The mean difference with its interval, and p, by metric."""
        left, right = self._pair(first, second)
        values = {metric: _apart(left.values[metric], right.values[metric]) for metric in METRICS}
        return {metric: (paired_difference(*pair), randomisation_test(*pair)) for metric, pair in values.items()}

    def _summary(self, first: str, second: str, names: list[str], left: Sentences, right: Sentences) -> str:
        tests = self._tests(first, second)
        rows = []
        for metric, (interval, p) in tests.items():
            means = [number(float(side.values[metric].mean())) for side in (left, right)]
            rows.append(f'<tr><th scope="row">{metric.upper()}</th>{number_cells((*means, str(interval), _p(p)))}</tr>')
        difference = np.subtract(*_apart(left.values["j"], right.values["j"]))
        interval, p = tests["j"]
        better = names[0] if interval.mean > 0 else names[1]
        significant = p < 1 - CONFIDENCE
        verdict = f"{better} has the higher J" if significant else "The test finds no difference between their J"
        head = headings(["Metric"]) + headings((*names, "First − second [95 %]", "p"), numeric=True)
        return (
            f'<p role="status"><strong>{verdict}</strong> (p {_p(p, True)}). Of {len(difference):,} sentences the '
            f"first is ahead in {(difference > 0).sum():,}, the second in {(difference < 0).sum():,}.</p>"
            f"{table('versus', head, rows, 'Comparison')}"
            "<p>Intervals: paired bootstrap over sentences. p: approximate randomisation test, not corrected for "
            "comparing several pairs.</p>"
        )


def _apart(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values of two systems [n], equal where verification would not tell them apart: a constant has no variance."""
    return np.where(np.abs(left - right) <= TOLERANCE, right, left), right


def _p(p: float, relation: bool = False) -> str:
    return "&lt; .001" if p < 0.001 else f"{'= ' if relation else ''}{p:.3f}".replace("0.", ".", 1)


def _sorted(values: np.ndarray, sign: int, second: np.ndarray) -> list[int]:
    """The indices of `values` [n] sorted by `sign` times the value, equal ones by `second` [n]; unsorted for 0."""
    return np.lexsort((sign * second, sign * values)).tolist() if sign else list(range(len(values)))


def _sentence_table(
    order: Sequence[int], page: int, texts: Mapping[str, Sequence[str]], numbers: Mapping[str, tuple[np.ndarray, str]],
    *, show_rude: bool, caption: str,
) -> str:  # fmt: skip
    """One page of a table of the sentences `order`; columns are [n] by heading, those of numbers with their format."""
    page, pages = page_bounds(len(order), _PAGE_SENTENCES, page)
    rows = []
    for i in order[page * _PAGE_SENTENCES : (page + 1) * _PAGE_SENTENCES]:
        cells = "".join(f'<td class="text">{blur_rude_words(column[i], show_rude)}</td>' for column in texts.values())
        cells += number_cells(f"{column[i]:{digits}}" for column, digits in numbers.values())
        rows.append(f'<tr><th scope="row" class="number">{i + 1:,}</th>{cells}</tr>')
    head = headings(["#"], numeric=True) + headings(texts) + headings(numbers, numeric=True)
    return above_table(f"{len(order):,} sentences", page, pages) + table("sentences", head, rows, "Sentences", caption)
