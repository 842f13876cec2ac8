"""FL as an `evaluate` module: is a rewritten sentence acceptable English?

>>> import evaluate
>>> fl = evaluate.load("metrics/fl")
>>> result = fl.compute(
...     sources=["shut up, idiot", "shut up, idiot"],
...     predictions=["Please be quiet.", "quiet the be be please of"],
...     per_sentence=True,
... )
>>> fluent, broken = result["fl_per_sentence"]
>>> fluent > broken
True
"""

from metrics.spaces.adapter import DetoxMetric

CITATION = """\
@article{warstadt-etal-2019-neural,
  title = {Neural Network Acceptability Judgments},
  author = {Warstadt, Alex and Singh, Amanpreet and Bowman, Samuel R.},
  journal = {Transactions of the Association for Computational Linguistics},
  volume = {7},
  year = {2019}
}
"""


class Fl(DetoxMetric):
    """Fluency, as `evaluate.load` returns it."""

    metric = "fl"
    meaning = "FL, fluency: how acceptable the rewrites are as sentences, in [0, 1]."
    citation_text = CITATION + DetoxMetric.citation_text
