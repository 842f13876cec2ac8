"""Two systems of one group: the paired test, and sentence by sentence where they differ."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from leaderboard.rows.sentences import Sentences
from leaderboard.space.data import Leaderboard
from leaderboard.space.outputs import PAGE_SENTENCES
from leaderboard.space.ranking import number, pager
from leaderboard.space.rude import softened
from leaderboard.space.shown import MAX_NAME, shown
from metrics.scoring import METRICS
from metrics.scoring.statistics import CONFIDENCE, Interval, paired_difference, randomisation_test
from metrics.util.errors import InputError

ORDERS = {"As in the test set": 0, "First ahead": -1, "Second ahead": 1}
# How many pairs' tests stay in memory: one takes a second for some thousand sentences.
_KEPT = 256


class Versus:
    """Comparisons within a leaderboard, each tested once."""

    def __init__(self, board: Leaderboard) -> None:
        self.board = board
        self._tests = lru_cache(_KEPT)(self._test)

    def shown(self, first: str | None, second: str | None, order: str, show_rude: bool, page: int) -> str:
        """The comparison as HTML, or why there is none."""
        if not first or not second:
            return "<p>Choose two systems.</p>"
        try:
            left, right = self._pair(first, second)
        except InputError as error:
            return f'<p role="status">These two cannot be compared: {shown(error)}.</p>'
        names = tuple(shown(self.board.records[key]["system"], MAX_NAME) for key in (first, second))
        summary = self._summary(first, second, names, left, right)
        return summary + _sentences(names, left, right, order, show_rude, page)

    def _pair(self, first: str, second: str) -> tuple[Sentences, Sentences]:
        """Errors: the same row twice, rows of two groups, rows without stored sentences."""
        board = self.board
        if first == second:
            raise InputError("both are the same row")
        groups = [board.group_of(key) for key in (first, second)]
        if None in groups:
            raise InputError("a published figure has no sentences behind it, and another protocol")
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
        """Per metric the mean difference with its interval, and p."""
        left, right = self._pair(first, second)
        return {
            metric: (
                paired_difference(left.values[metric], right.values[metric]),
                randomisation_test(left.values[metric], right.values[metric]),
            )
            for metric in METRICS
        }

    def _summary(self, first: str, second: str, names: tuple[str, ...], left: Sentences, right: Sentences) -> str:
        tests = self._tests(first, second)
        rows = []
        for metric, (interval, p) in tests.items():
            means = [number(float(side.values[metric].mean())) for side in (left, right)]
            cells = "".join(f'<td class="number">{cell}</td>' for cell in (*means, interval, _p(p)))
            rows.append(f'<tr><th scope="row">{metric.upper()}</th>{cells}</tr>')
        difference = left.values["j"] - right.values["j"]
        ahead, behind = int((difference > 0).sum()), int((difference < 0).sum())
        interval, p = tests["j"]
        apart = p < 1 - CONFIDENCE
        better = names[0] if interval.mean > 0 else names[1]
        verdict = f"{better} has the higher J" if apart else "The test does not tell their J apart"
        heads = ("", *names, "First − second [95 %]", "p")
        head = "".join(f'<th scope="col" class="{"number" if i else ""}">{name}</th>' for i, name in enumerate(heads))
        return (
            f'<p role="status"><strong>{verdict}</strong> (p {_p(p, True)}). Of {len(difference):,} sentences the '
            f"first is ahead in {ahead:,}, the second in {behind:,}.</p>"
            '<div class="box" tabindex="0" role="region" aria-label="Comparison, scrolls sideways">'
            f'<table class="versus"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
            "<p>Intervals by the paired bootstrap over sentences; p of an approximate randomisation test, not "
            "corrected for the number of pairs one looks at.</p>"
        )


def _p(p: float, relation: bool = False) -> str:
    if p < 0.001:
        return "&lt; .001"
    return f"{'= ' if relation else ''}{p:.3f}".replace("0.", ".", 1)


def _sentences(
    names: tuple[str, ...], left: Sentences, right: Sentences, order: str, show_rude: bool, page: int
) -> str:
    difference = left.values["j"] - right.values["j"]
    sign = ORDERS.get(order, 0)
    places = np.argsort(sign * difference, kind="stable") if sign else np.arange(len(difference))
    pages = max(1, -(-len(places) // PAGE_SENTENCES))
    page = min(max(page, 0), pages - 1)
    rows = []
    for i in places[page * PAGE_SENTENCES : (page + 1) * PAGE_SENTENCES]:
        texts = (left.source[i], left.output[i], right.output[i])
        cells = "".join(f'<td class="text">{softened(text, show_rude)}</td>' for text in texts)
        values = (left.values["j"][i], right.values["j"][i])
        scores = "".join(f'<td class="number">{value:.3f}</td>' for value in values)
        rows.append(
            f'<tr><th scope="row" class="number">{i + 1:,}</th>{cells}{scores}'
            f'<td class="number">{difference[i]:+.3f}</td></tr>'
        )
    heads = ("Source", f"First: {names[0]}", f"Second: {names[1]}")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    head += "".join(f'<th scope="col" class="number">{name}</th>' for name in ("J, first", "J, second", "Difference"))
    return (
        f'<div class="above"><p>{len(places):,} sentences</p>{pager(page, pages)}</div>'
        '<div class="box" tabindex="0" role="region" aria-label="Sentences, scroll sideways">'
        '<table class="sentences"><caption>Sentence by sentence</caption>'
        f'<thead><tr><th scope="col" class="number">#</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
