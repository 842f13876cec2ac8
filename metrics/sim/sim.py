"""SIM as an `evaluate` module: does a rewritten sentence keep the meaning?

>>> import evaluate
>>> sim = evaluate.load("metrics/sim")
>>> result = sim.compute(
...     sources=["shut up, idiot", "shut up, idiot"],
...     predictions=["shut up, idiot", "the train leaves at nine"],
...     per_sentence=True,
... )
>>> unchanged, unrelated = result["sim_per_sentence"]
>>> round(unchanged, 2)
1.0
>>> unrelated < 0.3
True
"""

from metrics.spaces.adapter import DetoxMetric

CITATION = """\
@inproceedings{wieting-etal-2019-beyond,
  title = {Beyond {BLEU}: Training Neural Machine Translation with Semantic Similarity},
  author = {Wieting, John and Berg-Kirkpatrick, Taylor and Gimpel, Kevin and Neubig, Graham},
  booktitle = {Proceedings of ACL 2019},
  year = {2019}
}
"""


class Sim(DetoxMetric):
    """Content similarity, as `evaluate.load` returns it."""

    metric = "sim"
    meaning = "SIM, content similarity: how surely the rewrites say what their sources say, in [0, 1], or a cosine."
    citation_text = CITATION + DetoxMetric.citation_text
