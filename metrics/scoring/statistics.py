"""Confidence intervals by the bootstrap over sentences, and paired tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

RESAMPLES = 9_999
CONFIDENCE = 0.95
Values = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % percentile bootstrap interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def mean_interval(values: Values, seed: int = 0) -> Interval:
    """Return the mean of `values` [n] and its interval, which has no width if all values are equal."""
    from scipy.stats import bootstrap

    values = np.asarray(values, dtype=np.float64)
    mean = float(values.mean())
    if np.ptp(values) == 0:
        return Interval(mean, mean, mean)
    settings: Any = {"n_resamples": RESAMPLES, "confidence_level": CONFIDENCE, "method": "percentile", "batch": 1_000}
    bounds = bootstrap((values,), np.mean, rng=np.random.default_rng(seed), **settings).confidence_interval
    return Interval(mean, float(bounds.low), float(bounds.high))


def paired_difference(left: Values, right: Values, seed: int = 0) -> Interval:
    """Return the mean of left - right [n], over the same sentences, and its paired bootstrap interval.

    Raises:
        ValueError: Unequal lengths.
    """
    _require_pairs(left, right)
    return mean_interval(np.asarray(left) - np.asarray(right), seed)


def randomisation_test(left: Values, right: Values, seed: int = 0) -> float:
    """Return the two-sided p-value, in (0, 1], of the difference of the means of two systems on n sentences.

    Under the null hypothesis the two scores of a sentence are exchangeable: the test draws the signs of the paired
    differences at random, 9,999 times (approximate randomisation, Noreen 1989).

    Raises:
        ValueError: Unequal lengths.
    """
    from scipy.stats import permutation_test

    _require_pairs(left, right)
    if np.array_equal(left, right):
        return 1.0
    settings: Any = {"permutation_type": "samples", "vectorized": True, "n_resamples": RESAMPLES, "batch": 500}
    pair = (np.asarray(left), np.asarray(right))
    result = permutation_test(
        pair, lambda x, y, axis: x.mean(axis) - y.mean(axis), rng=np.random.default_rng(seed), **settings
    )
    return float(result.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for their number, in their order (Holm 1979).

    Of the adjusted ones, those below α are significant with a probability of at most α that any of them errs.
    """
    adjusted, largest, m = [0.0] * len(p_values), 0.0, len(p_values)
    for rank, i in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (m - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def seeds_interval(values: Values, seed: int = 0) -> Interval:
    """Return the mean of `values` [seeds, sentences] with an interval over both training seeds and sentences.

    Each resample draws seeds and sentences anew, because training again gives other weights; an interval over
    sentences alone would hold for these weights only. With few seeds the interval itself is rough.
    """
    values = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    seeds, sentences = values.shape
    means = []
    for _ in range(RESAMPLES // 3):
        rows = values[rng.integers(seeds, size=seeds)].mean(0)
        means.append(rows[rng.integers(sentences, size=sentences)].mean())
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(values.mean()), float(low), float(high))


def _require_pairs(left: Values, right: Values) -> None:
    if np.shape(left) != np.shape(right):
        raise ValueError(f"paired values of {np.shape(left)} and {np.shape(right)} sentences")
