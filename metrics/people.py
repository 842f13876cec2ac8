"""What people say: agreement between annotators, systems in their judgement, and profiles against their preferences."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import krippendorff
import numpy as np

from metrics.data.judged import Array, JudgedPairs, JudgedRewrites
from metrics.data.judgement_files import ANSWERS, VALUES, Judgement
from metrics.scoring.statistics import Interval, mean_interval

_RESAMPLES = 1_000


@dataclass(frozen=True)
class Reliability:
    """How far annotators agree about one question.

    Attributes:
        alpha: Krippendorff's α at the nominal level, with the 95 % interval of a bootstrap over items; None where it
            is not defined, for the reason `undefined`.
        items: Items that two annotators or more judged.
        agreed: The share of pairs of annotators of an item who gave the same answer; None without such items.
    """

    question: str
    answers: int
    annotators: int
    items: int
    alpha: Interval | None
    agreed: float | None
    undefined: str = ""


def reliabilities(judgements: Sequence[Judgement]) -> list[Reliability]:
    """Return the agreement between annotators for each question that was answered."""
    return [
        _reliability(question, own)
        for question in ANSWERS
        if (own := [one for one in judgements if one.question == question])
    ]


def _reliability(question: str, judgements: Sequence[Judgement]) -> Reliability:
    # By value: the same preference has another answer where the pair was shown in the other order.
    values = sorted({VALUES[answer] for answer in ANSWERS[question]})
    rows: dict[tuple[str, ...], list[int]] = {}
    for one in judgements:
        rows.setdefault(one.item, [0] * len(values))[values.index(one.value)] += 1
    counts = np.array([row for row in rows.values() if sum(row) > 1]).reshape(-1, len(values))
    annotators = len({one.annotator for one in judgements})
    n, total = len(counts), counts.sum(axis=1)
    if not n:
        return Reliability(question, len(judgements), annotators, 0, None, None, "no item has two annotators")
    agreed = float(((counts * (counts - 1)).sum(axis=1) / (total * (total - 1))).mean())
    if (counts.sum(axis=0) > 0).sum() < 2:
        # Expected disagreement is 0 then, and alpha 0 / 0.
        return Reliability(question, len(judgements), annotators, n, None, agreed, "all answers are the same")
    rng = np.random.default_rng(0)
    resampled = [_alpha(counts[rng.integers(n, size=n)]) for _ in range(_RESAMPLES)]
    defined = [value for value in resampled if np.isfinite(value)]
    alpha = Interval(_alpha(counts), *np.percentile(defined, [2.5, 97.5]).tolist())
    return Reliability(question, len(judgements), annotators, n, alpha, agreed)


def _alpha(counts: Array) -> float:
    """Krippendorff's α of counts [items, answers]; NaN where all answers are the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))


def human_means(judged: JudgedRewrites) -> dict[str, dict[str, Interval]]:
    """Return system -> {aspect or "joint": mean with its interval}, in descending order of the joint mean."""
    names = np.array(judged.systems, dtype=object)
    table = {
        system: {aspect: mean_interval(values[names == system]) for aspect, values in judged.judgements.items()}
        for system in sorted(set(judged.systems))
    }
    return dict(sorted(table.items(), key=lambda item: -item[1]["joint"].mean))


def win_rates(pairs: JudgedPairs) -> dict[str, tuple[Interval, int]]:
    """Return system -> (share of its comparisons that it wins, a tie counts half; their number), best first."""
    won: dict[str, list[float]] = {}
    for (first, second), outcome in zip(pairs.systems, pairs.outcomes.tolist(), strict=True):
        won.setdefault(first, []).append(outcome)
        won.setdefault(second, []).append(1 - outcome)
    table = {system: (mean_interval(np.array(values)), len(values)) for system, values in won.items()}
    return dict(sorted(table.items(), key=lambda item: (-item[1][0].mean, item[0])))


def preference_agreement(pairs: JudgedPairs, first: Array, second: Array) -> tuple[Interval, int] | None:
    """Return how often a metric prefers the rewrite of a pair that people prefer, and the number of such pairs.

    Args:
        pairs: n pairs; those that people find equal do not count.
        first: The metric's scores [n] of the first rewrites.
        second: Those of the second ones; an equal score counts half.

    Returns:
        The share with its interval; None if people prefer no rewrite.
    """
    decided = pairs.outcomes != 0.5
    if not decided.any():
        return None
    signs = np.sign(first - second)[decided], np.sign(pairs.outcomes - 0.5)[decided]
    return mean_interval((1 + signs[0] * signs[1]) / 2), int(decided.sum())
