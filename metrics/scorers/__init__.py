"""Scorers: the models behind STA, SIM and FL. A new scorer is a class and an entry in one of the tables below.

A scorer is built as `Scorer(model, revision, max_tokens)`: the model's name, Hub id or folder, its commit on the Hub or
None, and the length at which texts are truncated. It implements one of the three interfaces below, from lists of
strings to one value per sentence. Equal texts are scored once and batches are sorted by length; neither changes a
score.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from metrics.scorers.batching import Array
from metrics.scorers.classical import ChrF, ProfanityCheck
from metrics.scorers.encoders import SentenceEncoder, SequenceClassifier
from metrics.scorers.heads.offline import HeadsAcceptability, HeadsSimilarity, HeadsToxicity
from metrics.scorers.wieting import WietingSimilarity
from metrics.scorers.xcomet import XCometLite

__all__ = ["CLASSIFIERS", "COMPARISONS", "FLUENCY_SCORERS", "SIMILARITIES", "SequenceClassifier"]


class Scorer(Protocol):
    """What all scorers have in common."""

    @property
    def revision(self) -> str:
        """What pins the model: a commit, a version or a hash."""


class Classifier(Scorer, Protocol):
    """Classifies single texts."""

    def __call__(self, texts: Sequence[str]) -> Array:
        """Return the logits [n, classes] of n texts."""


class SimilarityModel(Scorer, Protocol):
    """Compares pairs of texts."""

    def cosine(self, left: Sequence[str], right: Sequence[str]) -> Array:
        """Return the cosines [n], in [-1, 1], of n pairs."""


class Comparison(Scorer, Protocol):
    """Measures fluency by comparison with a human rewrite."""

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
