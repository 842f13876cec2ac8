"""Scorers: the models behind STA, SIM and FL. A new scorer is a class and an entry in one of the tables below.

A scorer is built as `Scorer(model, revision, max_tokens)`: the model's name, Hub id or folder, its commit on the Hub or
None, and the length at which texts are truncated. Scorers of `PROMPTED` get the profile's prompt as a fourth argument.
The property `revision` is what pins the model: a commit, a version or a hash. Where the model's name must not appear in
signatures, the property `name` replaces it. Equal texts are scored once and batches are sorted by length; neither
changes a score.
"""

from collections import ChainMap
from collections.abc import Callable
from typing import Any

from metrics.scorers.classical import ChrF, ProfanityCheck
from metrics.scorers.encoders import SentenceEncoder, SequenceClassifier
from metrics.scorers.heads.content import KINDS
from metrics.scorers.heads.judged import JudgedContent, JudgedFluency, JudgedPoliteness
from metrics.scorers.heads.offline import HeadsAcceptability, HeadsSimilarity, HeadsToxicity
from metrics.scorers.judge import LlmJudge
from metrics.scorers.wieting import WietingSimilarity
from metrics.scorers.xcomet import XCometLite

_Scorer = Callable[..., Any]
# classifier(texts) returns the logits [n, classes] of n texts.
CLASSIFIERS: dict[str, _Scorer] = {
    "sequence-classifier": SequenceClassifier, "profanity-check": ProfanityCheck,
    "heads-toxicity": HeadsToxicity, "heads-acceptability": HeadsAcceptability,
}  # fmt: skip
# model.cosine(left, right) returns the cosines [n], in [-1, 1], of n pairs of texts.
SIMILARITIES: dict[str, _Scorer] = {
    "sentence-encoder": SentenceEncoder, "wieting": WietingSimilarity, "heads-similarity": HeadsSimilarity,
}  # fmt: skip
# scorer(sources, outputs) returns P(good) [n], in [0, 1], of n rewrites: neutral, the same content, or acceptable.
# A pair scorer may have a method faults(sources, outputs), which returns one of FAULTS for each rewrite.
PAIR_SCORERS: dict[str, _Scorer] = {
    "judged-politeness": JudgedPoliteness, "judged-content": JudgedContent, "judged-fluency": JudgedFluency,
    "llm-judge": LlmJudge,
}  # fmt: skip
FAULTS = (*KINDS, "rude")
# The pair scorers that ask a model the profile's question, <metric>_prompt.
PROMPTED = frozenset({"llm-judge"})
# comparison.compare(sources, outputs, references) returns the fluency [n] of n outputs beside their human rewrites.
COMPARISONS: dict[str, _Scorer] = {"chrf": ChrF, "xcomet-lite": XCometLite}
# Metric -> the scorers that a profile may name for it; a ChainMap lists its last table first.
SCORERS: dict[str, ChainMap[str, _Scorer]] = {
    "sta": ChainMap({}, PAIR_SCORERS, CLASSIFIERS),
    "sim": ChainMap({}, PAIR_SCORERS, SIMILARITIES),
    "fl": ChainMap({}, COMPARISONS, PAIR_SCORERS, CLASSIFIERS),
}
