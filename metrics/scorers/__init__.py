"""Scorers: the models behind STA, SIM and FL. A new scorer is a class and an entry in one of the tables below.

A scorer is built as `Scorer(model, revision, max_tokens)` and implements one of three interfaces, `Classifier`,
`SimilarityModel` or `Comparison`, from lists of strings to one value per sentence. Equal texts are scored once and
batches are sorted by length; neither changes a score.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from metrics.scorers.batching import Array
from metrics.scorers.chrf import ChrF
from metrics.scorers.encoders import SentenceEncoder, SequenceClassifier
from metrics.scorers.heads.offline import HeadsAcceptability, HeadsSimilarity, HeadsToxicity
from metrics.scorers.profanity_check import ProfanityCheck
from metrics.scorers.wieting import WietingSimilarity
from metrics.scorers.xcomet import XCometLite

__all__ = ["CLASSIFIERS", "COMPARISONS", "FLUENCY_SCORERS", "SIMILARITIES", "SequenceClassifier"]


class Classifier(Protocol):
    """Classifies single texts."""

    @property
    def revision(self) -> str:
        """What pins the model: a commit, a version or a hash."""

    def __call__(self, texts: Sequence[str]) -> Array:
        """Return the logits [n, classes] of n texts."""


class SimilarityModel(Protocol):
    """Compares pairs of texts."""

    @property
    def revision(self) -> str:
        """What pins the model."""

    def cosine(self, left: Sequence[str], right: Sequence[str]) -> Array:
        """Return the cosines [n], in [-1, 1], of n pairs."""


class Comparison(Protocol):
    """Measures fluency by comparison with a human rewrite."""

    @property
    def revision(self) -> str:
        """What pins the model."""

    def compare(self, sources: Sequence[str], outputs: Sequence[str], references: Sequence[str]) -> Array:
        """Return the scores [n] of n outputs."""


CLASSIFIERS: dict[str, Callable[[str, str | None, int], Classifier]] = {
    "sequence-classifier": SequenceClassifier,
    "profanity-check": ProfanityCheck,
    "heads-toxicity": HeadsToxicity,
    "heads-acceptability": HeadsAcceptability,
}
SIMILARITIES: dict[str, Callable[[str, str | None, int], SimilarityModel]] = {
    "sentence-encoder": SentenceEncoder,
    "wieting": WietingSimilarity,
    "heads-similarity": HeadsSimilarity,
}
COMPARISONS: dict[str, Callable[[str, str | None, int], Comparison]] = {"chrf": ChrF, "xcomet-lite": XCometLite}
FLUENCY_SCORERS: ChainMap[str, Callable[[str, str | None, int], Any]] = ChainMap({}, COMPARISONS, CLASSIFIERS)
