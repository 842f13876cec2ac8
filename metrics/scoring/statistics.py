"""Intervals and paired comparisons by the bootstrap over sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

RESAMPLES = 9_999
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % percentile-bootstrap interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def mean_interval(values: np.ndarray[Any, Any], seed: int = 0) -> Interval:
    """The mean of per-sentence `values` [n] with its interval; a single or constant value has none to speak of."""
    from scipy.stats import bootstrap

    values = np.asarray(values, dtype=np.float64)
    mean = float(values.mean())
    if np.ptp(values) == 0:
        return Interval(mean, mean, mean)
    result = bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=1_000,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return Interval(mean, float(result.confidence_interval.low), float(result.confidence_interval.high))


def paired_difference(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any], seed: int = 0) -> Interval:
    """Mean of left − right over the same sentences, with its paired-bootstrap interval. Errors: unequal lengths."""
    if np.shape(left) != np.shape(right):
        raise ValueError(f"paired values of {np.shape(left)} and {np.shape(right)} sentences")
    return mean_interval(np.asarray(left) - np.asarray(right), seed)


def randomisation_test(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any], seed: int = 0) -> float:
    """Two-sided p-value, in (0, 1], of the mean difference under approximate randomisation (Noreen 1989).

    Under the null hypothesis the two systems' scores of a sentence could be exchanged: signs of the paired differences
    are drawn at random 9,999 times. Errors: unequal lengths.
    """
    from scipy.stats import permutation_test

    if np.shape(left) != np.shape(right):
        raise ValueError(f"paired values of {np.shape(left)} and {np.shape(right)} sentences")
    if np.array_equal(left, right):
        return 1.0
    result = permutation_test(
        (np.asarray(left), np.asarray(right)),
        lambda x, y, axis: np.mean(x, axis=axis) - np.mean(y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=500,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def seeds_interval(values: np.ndarray[Any, Any], seed: int = 0) -> Interval:
    """The mean of `values` [seeds, sentences] with an interval over both: seeds and sentences are drawn anew together.

    Training again gives other weights, and testing again other sentences; an interval over sentences alone would speak
    of these weights only. With a handful of seeds it is itself rough.
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
