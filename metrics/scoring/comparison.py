"""Paired comparison of two results on the same sentences."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from metrics.scoring import METRICS
from metrics.scoring.signature import Signature
from metrics.scoring.statistics import Interval, paired_difference, randomisation_test
from metrics.util.errors import InputError


@dataclass(frozen=True)
class Difference:
    """The means of two systems under one metric; first − second, with the interval of a paired bootstrap over sentences.

    p is the p-value of an approximate randomisation test (Noreen 1989).
    """

    metric: str
    first: float
    second: float
    interval: Interval
    p: float


def compare(first: dict[str, Any], second: dict[str, Any]) -> list[Difference]:
    """Compare two result documents under every metric.

    Raises:
        InputError: The signatures differ, which makes the scores incomparable, or the sentences do.
    """
    a, b = Signature.parse(first["signature"]), Signature.parse(second["signature"])
    if a != b:
        raise InputError(f"these scores are not comparable; the signatures differ in {'; '.join(a.differences(b))}")
    sources = [[sentence["source"] for sentence in result["sentences"]] for result in (first, second)]
    if sources[0] != sources[1]:
        raise InputError("the two files hold different sentences under one signature: one of them was altered")
    differences = []
    for metric in METRICS:
        left, right = (np.array([s[metric] for s in r["sentences"]], dtype=np.float64) for r in (first, second))
        interval, p = paired_difference(left, right), randomisation_test(left, right)
        differences.append(Difference(metric, float(left.mean()), float(right.mean()), interval, p))
    return differences
