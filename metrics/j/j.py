"""J as an `evaluate` module: is a rewritten sentence polite, faithful and fluent at once?

>>> import evaluate
>>> j = evaluate.load("metrics/j")
>>> result = j.compute(
...     sources=["shut up, idiot", "shut up, idiot"],
...     predictions=["be quiet, please", "shut up, idiot"],
...     per_sentence=True,
... )
>>> polite, copied = result["j_per_sentence"]
>>> polite > 10 * copied
True
>>> result["j"] == (polite + copied) / 2
True
"""

from metrics.spaces.adapter import DetoxMetric


class J(DetoxMetric):
    """Joint score, as `evaluate.load` returns it."""

    metric = "j"
    meaning = "J, joint score: the mean over sentences of STA · SIM · FL, in [−1, 1]; not the product of the means."
