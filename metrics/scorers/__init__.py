"""Scorers: the models behind STA, SIM and FL, one small class each. A new kind is a class and a line in a table here.

Three interfaces, all from lists of strings to one value per sentence; equal texts are scored once, batches are sorted
by length, and neither changes a score:

    classifier(texts)                       -> logits [n, classes]
    similarity.cosine(left, right)          -> [n], in [−1, 1]
    comparison(sources, outputs, references) -> [n], for fluency measures that need a reference

Each is made from (model, revision, max_tokens) and has a `revision` that pins what it really used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from metrics.scorers.batching import Array
from metrics.scorers.comparisons import ChrF
from metrics.scorers.encoders import ProfanityCheck, SentenceEncoder, SequenceClassifier
from metrics.scorers.wieting import WietingSimilarity
from metrics.scorers.xcomet import XCometLite

__all__ = ["CLASSIFIERS", "COMPARISONS", "SIMILARITIES", "SequenceClassifier"]


class Classifier(Protocol):
    """Logits [n, classes] of each text by itself."""

    @property
    def revision(self) -> str: ...

    def __call__(self, texts: Sequence[str]) -> Array: ...


class Similarity(Protocol):
    """Cosines [n] of pairs of texts."""

    @property
    def revision(self) -> str: ...

    def cosine(self, left: Sequence[str], right: Sequence[str]) -> Array: ...


class Comparison(Protocol):
    """A fluency measure [n] of outputs against sources and references."""

    @property
    def revision(self) -> str: ...

    def compare(self, sources: Sequence[str], outputs: Sequence[str], references: Sequence[str]) -> Array: ...


class _Heads:
    """The offline profile's three scorers are one object's: a text passes each backbone once for all of them."""

    def __init__(self, model: str, revision: str | None, max_tokens: int) -> None:
        from metrics.scorers.heads.scorers import OfflineHeads

        self._heads = _shared(OfflineHeads)

    @property
    def revision(self) -> str:
        return str(self._heads.revision)

    def cosine(self, left: Sequence[str], right: Sequence[str]) -> Array:
        return np.asarray(self._heads.similarity(left, right))


class HeadsToxicity(_Heads):
    def __call__(self, texts: Sequence[str]) -> Array:
        """Logits [n, 2]: neutral, toxic."""
        return _log_odds(1.0 - self._heads.toxicity(texts))


class HeadsAcceptability(_Heads):
    def __call__(self, texts: Sequence[str]) -> Array:
        """Logits [n, 2]: acceptable, unacceptable."""
        return _log_odds(self._heads.acceptability(texts))


def _log_odds(p: Array) -> Array:
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return np.stack([np.log(p), np.log1p(-p)], axis=-1)


_instances: dict[type, Any] = {}


def _shared(kind: type) -> Any:
    return _instances.setdefault(kind, kind()) if kind not in _instances else _instances[kind]


CLASSIFIERS: dict[str, Callable[[str, str | None, int], Classifier]] = {
    "sequence-classifier": SequenceClassifier,
    "profanity-check": ProfanityCheck,
    "heads-toxicity": HeadsToxicity,
    "heads-acceptability": HeadsAcceptability,
}
SIMILARITIES: dict[str, Callable[[str, str | None, int], Similarity]] = {
    "sentence-encoder": SentenceEncoder,
    "wieting": WietingSimilarity,
    "heads-similarity": _Heads,
}
COMPARISONS: dict[str, Callable[[str, str | None, int], Comparison]] = {"chrf": ChrF, "xcomet-lite": XCometLite}
