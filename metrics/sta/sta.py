"""STA as an `evaluate` module: is a rewritten sentence free of toxicity?

>>> import evaluate
>>> sta = evaluate.load("metrics/sta")
>>> sta.compute(
...     sources=["shut up, idiot", "shut up, idiot"],
...     predictions=["please be quiet", "shut up, idiot"],
...     per_sentence=True,
... )
{'sta': 0.5, 'sta_per_sentence': [1.0, 0.0]}
"""

from metrics.spaces.adapter import DetoxMetric


class Sta(DetoxMetric):
    """Style accuracy, as `evaluate.load` returns it."""

    metric = "sta"
    meaning = "STA, style accuracy: the share of rewrites that a classifier does not find toxic, in [0, 1]."
