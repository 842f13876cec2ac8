"""Two systems of one group: a paired test, and sentence by sentence where they differ."""

from __future__ import annotations

from functools import lru_cache

from leaderboard.rows.sentences import Sentences
from leaderboard.space.data import Leaderboard
from leaderboard.space.escaping import MAX_NAME, to_html
from leaderboard.space.views.outputs import sorted_indices
from leaderboard.space.views.tables import headings, number, number_cells, sentence_table, table
from metrics.scoring import METRICS
from metrics.scoring.statistics import CONFIDENCE, Interval, paired_difference, randomisation_test
from metrics.util.errors import InputError

# The sign by which the difference in J is sorted in ascending order; 0: not sorted.
ORDERS = {"As in the test set": 0, "First ahead": -1, "Second ahead": 1}
# Tests of this many pairs stay in memory: one test takes a second for some thousand sentences.
_CACHED_TESTS = 256


class Comparisons:
    """Comparisons of two systems of a leaderboard; the tests of a pair are computed once."""

    def __init__(self, board: Leaderboard) -> None:
        self.board = board
        self._tests = lru_cache(_CACHED_TESTS)(self._test)

    def render(self, first: str | None, second: str | None, order: str, show_rude: bool, page: int) -> str:
        """Return the comparison as HTML, or the reason why there is none.

        Args:
            first: The first system's record, by its key.
            second: The second system's.
            order: A key of `ORDERS`; the test set's order for any other value.
            show_rude: Whether rude words are shown; otherwise they are blurred.
            page: The page of sentences, from 0.
        """
        if not first or not second:
            return "<p>Choose two systems.</p>"
        try:
            left, right = self._pair(first, second)
        except InputError as error:
            return f'<p role="status">These two cannot be compared: {to_html(error)}.</p>'
        names = [to_html(self.board.records[key]["system"], MAX_NAME) for key in (first, second)]
        difference = left.values["j"] - right.values["j"]
        return self._summary(first, second, names, left, right) + sentence_table(
            sorted_indices(difference, ORDERS.get(order, 0)),
            page,
            (
                ("Source", f"First: {names[0]}", f"Second: {names[1]}"),
                lambda i: (left.source[i], left.output[i], right.output[i]),
            ),
            (
                ("J, first", "J, second", "Difference"),
                lambda i: (
                    *(f"{side.values['j'][i]:.3f}" for side in (left, right)),
                    f"{difference[i]:+.3f}",
                ),
            ),
            show_rude=show_rude,
            caption="Sentence by sentence",
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
        return {
            metric: (
                paired_difference(left.values[metric], right.values[metric]),
                randomisation_test(left.values[metric], right.values[metric]),
            )
            for metric in METRICS
        }

    def _summary(self, first: str, second: str, names: list[str], left: Sentences, right: Sentences) -> str:
        tests = self._tests(first, second)
        rows = []
        for metric, (interval, p) in tests.items():
            means = [number(float(side.values[metric].mean())) for side in (left, right)]
            rows.append(f'<tr><th scope="row">{metric.upper()}</th>{number_cells((*means, str(interval), _p(p)))}</tr>')
        difference = left.values["j"] - right.values["j"]
        ahead, behind = int((difference > 0).sum()), int((difference < 0).sum())
        interval, p = tests["j"]
        better = names[0] if interval.mean > 0 else names[1]
        significant = p < 1 - CONFIDENCE
        verdict = f"{better} has the higher J" if significant else "The test finds no difference between their J"
        head = headings([""]) + headings((*names, "First − second [95 %]", "p"), numeric=True)
        return (
            f'<p role="status"><strong>{verdict}</strong> (p {_p(p, True)}). Of {len(difference):,} sentences the '
            f"first is ahead in {ahead:,}, the second in {behind:,}.</p>"
            f"{table('versus', head, rows, 'Comparison')}"
            "<p>Intervals: paired bootstrap over sentences. p: approximate randomisation test, not corrected for "
            "comparing several pairs.</p>"
        )


def _p(p: float, relation: bool = False) -> str:
    if p < 0.001:
        return "&lt; .001"
    return f"{'= ' if relation else ''}{p:.3f}".replace("0.", ".", 1)
