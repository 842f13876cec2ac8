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

CITATION = """\
@inproceedings{krishna-etal-2020-reformulating,
  title = {Reformulating Unsupervised Style Transfer as Paraphrase Generation},
  author = {Krishna, Kalpesh and Wieting, John and Iyyer, Mohit},
  booktitle = {Proceedings of EMNLP 2020},
  year = {2020}
}
"""


class Sta(DetoxMetric):
    """Style accuracy, as `evaluate.load` returns it."""

    metric = "sta"
    meaning = "STA, style accuracy: the share of rewrites that a classifier does not find toxic, in [0, 1]."
    citation_text = CITATION
