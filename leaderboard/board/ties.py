"""Ties: which systems a paired test tells apart, and the letters that say so (a compact letter display)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

# Two-sided, 5 %: of the normal distribution that the randomisation test's tends to.
_SEPARATED = 1.959964
# With fewer sentences the normal limit is not near, and nothing is told apart.
MIN_SENTENCES = 20
# Up to so many systems every tie is shown; among more, those of neighbours (the letters of all others take too long).
EXACT = 200
_BLOCK = 512


def separated(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Which of m systems a paired test tells apart at 5 %, two-sided: [m, m], from J per sentence [m, n].

    The test is `metrics.scoring.statistics.randomisation_test` in its normal limit: under exchanged signs the sum of
    the paired
    differences d has mean 0 and variance Σd². One matrix product serves all pairs. Not corrected for their number.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.shape[1] < MIN_SENTENCES:
        return np.zeros((len(values), len(values)), dtype=bool)
    squares, total = (values**2).sum(axis=1), values.sum(axis=1)
    apart = []
    # Some rows at a time: of ten thousand systems the whole matrix would take gigabytes.
    for start in range(0, len(values), _BLOCK):
        block = slice(start, start + _BLOCK)
        variance = np.maximum(squares[block, None] + squares[None, :] - 2 * values[block] @ values.T, 0)
        difference = np.abs(total[block, None] - total[None, :])
        # Rounding leaves a little variance between equal rows; a difference must exceed it as well.
        apart.append((difference > _SEPARATED * np.sqrt(variance)) & (difference > 1e-9))
    return np.concatenate(apart)


def tie_letters(apart: np.ndarray[Any, Any]) -> list[list[int]]:
    """For m systems, best first, the numbers of the letters of each.

    Two that share one are not `apart` [m, m]; up to `EXACT` systems, two that are not apart share one. Runs of
    neighbours of which no two are apart come first, since ties are mostly those; a pair that no run covers gets a
    letter of its own (Piepho 2004).
    """
    m = len(apart)
    runs = _runs(apart)
    groups = [list(range(start, stop)) for start, stop in runs]
    if m <= EXACT:
        covered = np.zeros_like(apart, dtype=bool)
        for start, stop in runs:
            covered[start:stop, start:stop] = True
        for i, k in np.argwhere(np.triu(~apart & ~covered)).tolist():
            if not covered[i, k]:
                group = [i, k]
                for x in range(m):
                    if x not in group and not apart[x, group].any():
                        group.append(x)
                groups.append(group)
                covered[np.ix_(group, group)] = True
    letters: list[list[int]] = [[] for _ in range(m)]
    for number, group in enumerate(groups):
        for i in group:
            letters[i].append(number)
    return letters


def _runs(apart: np.ndarray[Any, Any]) -> list[tuple[int, int]]:
    """The longest stretches [start, stop) of neighbours of which no two are apart."""
    m = len(apart)
    # For each system the nearest better one that it is apart from, −1 for none.
    nearest = [int(better[-1]) if len(better := np.flatnonzero(apart[i, :i])) else -1 for i in range(m)]
    runs = []
    start = 0
    for stop in range(1, m + 1):
        if stop == m or nearest[stop] >= start:
            runs.append((start, stop))
            if stop < m:
                start = nearest[stop] + 1
    return runs


def letter(number: int) -> str:
    """0 → a, 25 → z, 26 → aa: as columns of a spreadsheet are called."""
    text = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        text = chr(ord("a") + digit) + text
    return text


def spell(numbers: Sequence[int]) -> str:
    """The letters of one system; more than three in a row as first–last."""
    if len(numbers) > 3 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{letter(numbers[0])}–{letter(numbers[-1])}"
    return " ".join(map(letter, numbers))
