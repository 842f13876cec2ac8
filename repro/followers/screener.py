"""Screeners, which pass or fail a text for toxicity: NB-SVM, any sequence classifier, and a wrapper that errs."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from metrics.scorers.encoders import SequenceClassifier
from metrics.scoring.measures import softmax
from metrics.util.errors import InputError
from repro.distributed import rank
from repro.followers.ngrams import NgramClassifier

_PUNCTUATION = re.compile(f"([{re.escape(string.punctuation)}“”¨«»®´·º½¾¿¡§£₤‘’])")


class Screener(Protocol):
    """Passes or fails texts."""

    def passes(self, texts: Sequence[str], call: int = 0) -> np.ndarray[Any, Any]:
        """Return whether each text passes.

        Args:
            texts: n texts.
            call: Number of this call, for screeners whose answers vary; equal numbers give equal answers.

        Returns:
            bool [n].
        """
        ...


def split_punctuation(text: str) -> list[str]:
    """Return the words of `text`, with each punctuation mark as a word of its own."""
    return _PUNCTUATION.sub(r" \1 ", text).split()


class NBSVM(NgramClassifier):
    """NB-SVM (Wang and Manning 2012) with the settings of the released SRO screener.

    TF-IDF on word 1–2-grams (min_df 3, max_df .9, accents stripped, sublinear tf), features times the log-count ratio
    r = log((p+1)/(q+1)) of normalised class counts, logistic regression with C = 4.

    Args:
        threshold: A text passes if P(toxic) is at most this, in [0, 1].
    """

    file_stem = "nb_svm"

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold

    @property
    def init_arguments(self) -> dict[str, Any]:
        """See `NgramClassifier.init_arguments`."""
        return {"threshold": self.threshold}

    def fit(self, toxic: Sequence[str], neutral: Sequence[str]) -> NBSVM:
        """Fit on texts of both classes and return self.

        Raises:
            InputError: A class has no texts.
        """
        from sklearn.linear_model import LogisticRegression

        if not toxic or not neutral:
            raise InputError("screener: needs toxic and neutral texts; choose corpora that have both")
        self.vectorizer = self.new_vectorizer(min_df=3, max_df=0.9)
        features = self.vectorizer.fit_transform([*toxic, *neutral])
        labels = np.array([1] * len(toxic) + [0] * len(neutral))
        toxic_counts = (np.asarray(features[labels == 1].sum(0)).ravel() + 1) / (len(toxic) + 1)
        neutral_counts = (np.asarray(features[labels == 0].sum(0)).ravel() + 1) / (len(neutral) + 1)
        self.ratio = np.log(toxic_counts / neutral_counts)
        model = LogisticRegression(C=4.0, max_iter=1000).fit(features.multiply(self.ratio).tocsr(), labels)
        self.weights, self.intercept = self.ratio * model.coef_[0], float(model.intercept_[0])
        return self

    @staticmethod
    def new_vectorizer(**settings: Any) -> Any:
        """See `NgramClassifier.new_vectorizer`."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(
            ngram_range=(1, 2),
            tokenizer=split_punctuation,
            token_pattern=None,
            strip_accents="unicode",
            sublinear_tf=True,
            **settings,
        )

    def p_toxic(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        """Return P(toxic) of each text, [n]."""
        return self.probabilities(texts)

    def passes(self, texts: Sequence[str], call: int = 0) -> np.ndarray[Any, Any]:
        """See `Screener.passes`."""
        return np.asarray(self.p_toxic(texts) <= self.threshold)


class ClassifierScreener:
    """A transformers sequence classifier as screener.

    Args:
        model: Its name (see `metrics.models.resolve.resolve_model`); class 0 is neutral.
        threshold: A text passes if 1 − P(neutral) is at most this, in [0, 1].
    """

    def __init__(self, model: str, threshold: float = 0.5) -> None:
        self._classifier = SequenceClassifier(model)
        self.threshold = threshold

    @property
    def revision(self) -> str:
        """The revision of the model."""
        return self._classifier.revision

    def passes(self, texts: Sequence[str], call: int = 0) -> np.ndarray[Any, Any]:
        """See `Screener.passes`."""
        return np.asarray(1.0 - softmax(self._classifier(texts))[:, 0] <= self.threshold)


class FlippingScreener:
    """A screener with some of its answers flipped.

    Args:
        screener: The screener that answers.
        rate: Probability of a flip, in [0, 1].
        seed: With `call`, decides which answers are flipped.
    """

    def __init__(self, screener: Screener, rate: float, seed: int) -> None:
        self._screener = screener
        self.rate = rate
        self.seed = seed

    def passes(self, texts: Sequence[str], call: int = 0) -> np.ndarray[Any, Any]:
        """See `Screener.passes`."""
        answers = self._screener.passes(texts, call)
        # Hashes instead of a generator: a resumed run flips what an uninterrupted one flips, and each of several
        # processes flips what a single process would flip at the same places of the joint batch.
        offset = rank() * len(texts)
        flips = [
            int.from_bytes(hashlib.sha256(f"{self.seed}/{call}/{i}".encode()).digest()[:8], "big") < self.rate * 2**64
            for i in range(offset, offset + len(texts))
        ]
        return np.asarray(answers ^ np.asarray(flips, dtype=bool))
