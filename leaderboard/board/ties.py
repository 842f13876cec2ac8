"""Ties: pairs of systems whose difference is not significant, shown by shared letters (a compact letter display)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from leaderboard.rows.row import TOLERANCE

# Two-sided 5 % quantile of the normal distribution, which the randomisation test approaches.
_CRITICAL = 1.959964
# The normal approximation needs this many sentences: with fewer, no difference is significant.
MIN_SENTENCES = 20
# Up to this many systems, letters show every tie. Beyond, where that takes too long, they show ties of neighbours.
EXACT = 200
_BLOCK = 512


def significant_pairs(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return which pairs of systems differ significantly at 5 %, two-sided, without correction for their number.

    The test is `metrics.scoring.statistics.randomisation_test` in its normal limit: under exchanged signs, the sum of
    the paired differences d has mean 0 and variance Σd². One matrix product computes all pairs. The part of the
    difference that the tolerance of verification allows does not count: it may be a constant, which has no variance.

    Args:
        values: J of each sentence, [m, n] for m systems.

    Returns:
        A symmetric boolean matrix [m, m].
    """
    values = np.asarray(values, dtype=np.float64)
    if values.shape[1] < MIN_SENTENCES:
        return np.zeros((len(values), len(values)), dtype=bool)
    squares, total = (values**2).sum(axis=1), values.sum(axis=1)
    significant = []
    # In blocks of rows: the intermediate matrices of ten thousand systems take gigabytes.
    for start in range(0, len(values), _BLOCK):
        block = slice(start, start + _BLOCK)
        variance = np.maximum(squares[block, None] + squares[None, :] - 2 * values[block] @ values.T, 0)
        difference = np.abs(total[block, None] - total[None, :]) - values.shape[1] * TOLERANCE
        # Rounding leaves a small variance between equal rows; the difference must exceed it too.
        significant.append((difference > _CRITICAL * np.sqrt(variance)) & (difference > 1e-9))
    return np.concatenate(significant)


def tie_letters(significant: np.ndarray[Any, Any]) -> list[list[int]]:
    """Return the numbers of the letters of each system (Piepho 2004).

    Systems that share a letter do not differ significantly; up to `EXACT` systems, the reverse holds too. Each longest
    run of neighbours without a significant pair has a letter, and so does each pair that no run covers.

    Args:
        significant: Boolean matrix [m, m] of `significant_pairs`, systems from best to worst.
    """
    m = len(significant)
    runs = _runs(significant)
    groups = [list(range(start, stop)) for start, stop in runs]
    if m <= EXACT:
        covered = np.zeros_like(significant, dtype=bool)
        for start, stop in runs:
            covered[start:stop, start:stop] = True
        for i, k in np.argwhere(np.triu(~significant & ~covered)).tolist():
            if not covered[i, k]:
                group = [i, k]
                for x in range(m):
                    if x not in group and not significant[x, group].any():
                        group.append(x)
                groups.append(group)
                covered[np.ix_(group, group)] = True
    letters: list[list[int]] = [[] for _ in range(m)]
    for number, group in enumerate(groups):
        for i in group:
            letters[i].append(number)
    return letters


def _runs(significant: np.ndarray[Any, Any]) -> list[tuple[int, int]]:
    """Return the longest runs [start, stop) of neighbours without a significant pair."""
    m = len(significant)
    # For each system, the nearest better one from which it differs; −1 for none.
    nearest = [int(better[-1]) if len(better := np.flatnonzero(significant[i, :i])) else -1 for i in range(m)]
    runs = []
    start = 0
    for stop in range(1, m + 1):
        if stop == m or nearest[stop] >= start:
            runs.append((start, stop))
            if stop < m:
                start = nearest[stop] + 1
    return runs


def letter(number: int) -> str:
    """Return a letter's name, as spreadsheets name columns: 0 → a, 25 → z, 26 → aa."""
    rest, digit = divmod(number, 26)
    return (letter(rest - 1) if rest else "") + chr(ord("a") + digit)


def format_letters(numbers: Sequence[int]) -> str:
    """Return the letters of one system, more than three consecutive ones as first–last."""
    if len(numbers) > 3 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{letter(numbers[0])}–{letter(numbers[-1])}"
    return " ".join(map(letter, numbers))
