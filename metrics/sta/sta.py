"""STA as an `evaluate` module: is a rewritten sentence free of toxicity?

>>> import evaluate
>>> sta = evaluate.load("metrics/sta")
>>> result = sta.compute(
...     sources=["shut up, idiot", "shut up, idiot"],
...     predictions=["please be quiet", "shut up, idiot"],
...     per_sentence=True,
... )
>>> polite, rude = result["sta_per_sentence"]
>>> polite > 0.9 and rude < 0.1
True
"""

from metrics.spaces.adapter import DetoxMetric


class Sta(DetoxMetric):
    """Style accuracy, as `evaluate.load` returns it."""

    metric = "sta"
    meaning = "STA, style accuracy: how surely the rewrites are not toxic, in [0, 1]."
