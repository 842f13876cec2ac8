"""Screeners, which pass or fail a text for toxicity: any sequence classifier, and a wrapper that errs.

The screener that a run fits itself is `repro.followers.ngrams.NBSVM`.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from metrics.scorers.encoders import SequenceClassifier
from metrics.scoring.measures import softmax
from repro.distributed import rank


class Screener(Protocol):
    """Passes or fails texts."""

    def passes(self, texts: Sequence[str], call: int = 0) -> np.ndarray[Any, Any]:
        """Return whether each of n texts passes, bool [n]; where answers vary, equal numbers `call` give equal ones."""

    def p_toxic(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        """Return P(toxic) of each of n texts, [n]."""


class ClassifierScreener:
    """A transformers sequence classifier as screener.

    Args:
        model: Its name (see `metrics.models.resolve.resolve_model`); class 0 is neutral.
        threshold: A text passes if 1 − P(neutral) is at most this, in [0, 1].
    """

    def __init__(self, model: str, threshold: float = 0.5) -> None:
        self._classifier = SequenceClassifier(model)
        self._threshold = threshold

    def passes(self, texts: Sequence[str], call: int = 0) -> np.ndarray[Any, Any]:
        """See `Screener.passes`."""
        return np.asarray(self.p_toxic(texts) <= self._threshold)

    def p_toxic(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        """See `Screener.p_toxic`."""
        return np.asarray(1.0 - softmax(self._classifier(texts))[:, 0])


class FlippingScreener:
    """A screener with some of its answers flipped.

    Args:
        rate: Probability of a flip, in [0, 1].
        seed: With `call`, decides which answers are flipped.
    """

    def __init__(self, screener: Screener, rate: float, seed: int) -> None:
        self._screener, self._rate, self._seed = screener, rate, seed

    def passes(self, texts: Sequence[str], call: int = 0) -> np.ndarray[Any, Any]:
        """See `Screener.passes`."""
        answers = self._screener.passes(texts, call)
        # Hashes instead of a generator: a resumed run flips what an uninterrupted one flips, and each of several
        # processes flips what a single process would flip at the same places of the joint batch.
        offset = rank() * len(texts)
        flips = [
            int.from_bytes(hashlib.sha256(f"{self._seed}/{call}/{i}".encode()).digest()[:8], "big") < self._rate * 2**64
            for i in range(offset, offset + len(texts))
        ]
        return np.asarray(answers ^ np.asarray(flips, dtype=bool))

    def p_toxic(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        """See `Screener.p_toxic`; probabilities are not flipped."""
        return self._screener.p_toxic(texts)
