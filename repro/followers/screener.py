"""The follower: a screener that answers pass or fail. NB-SVM, any sequence classifier, and a wrapper that errs."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from metrics.util.errors import InputError
from repro.distributed import rank
from repro.followers.ngrams import NgramClassifier

_PUNCTUATION = re.compile(f"([{re.escape(string.punctuation)}“”¨«»®´·º½¾¿¡§£₤‘’])")


class Screener(Protocol):
    """Verdicts on texts. draw: which call this is, for screeners whose answers vary; equal draws answer alike."""

    def passes(self, texts: Sequence[str], draw: int = 0) -> np.ndarray[Any, Any]:
        """[n] bool, True for pass."""
        ...


def split_punctuation(text: str) -> list[str]:
    """Words, with each punctuation mark a token of its own."""
    return _PUNCTUATION.sub(r" \1 ", text).split()


class NBSVM(NgramClassifier):
    """NB-SVM (Wang and Manning 2012) with the released SRO screener's settings.

    TF-IDF on word 1–2-grams (min_df 3, max_df .9, accents stripped, sublinear tf), features times the log-count ratio
    r = log((p+1)/(q+1)), class counts normalised, logistic regression with C = 4.
    """

    file = "nb_svm"

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold

    @property
    def settings(self) -> dict[str, Any]:
        return {"threshold": self.threshold}

    def fit(self, toxic: Sequence[str], neutral: Sequence[str]) -> NBSVM:
        from sklearn.linear_model import LogisticRegression

        if not toxic or not neutral:
            raise InputError("screener: needs toxic and neutral texts; choose corpora that have both")
        self.vectoriser = self.new_vectoriser(min_df=3, max_df=0.9)
        features = self.vectoriser.fit_transform([*toxic, *neutral])
        labels = np.array([1] * len(toxic) + [0] * len(neutral))
        toxic_counts = (np.asarray(features[labels == 1].sum(0)).ravel() + 1) / (len(toxic) + 1)
        neutral_counts = (np.asarray(features[labels == 0].sum(0)).ravel() + 1) / (len(neutral) + 1)
        self.ratio = np.log(toxic_counts / neutral_counts)
        model = LogisticRegression(C=4.0, max_iter=1000).fit(features.multiply(self.ratio).tocsr(), labels)
        self.weights, self.intercept = self.ratio * model.coef_[0], float(model.intercept_[0])
        return self

    @staticmethod
    def new_vectoriser(**settings: Any) -> Any:
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
        """[n] probabilities of toxic."""
        return self.probabilities(texts)

    def passes(self, texts: Sequence[str], draw: int = 0) -> np.ndarray[Any, Any]:
        return np.asarray(self.p_toxic(texts) <= self.threshold)


class ClassifierScreener:
    """A transformers sequence classifier (class 0: neutral) as screener."""

    def __init__(self, model: str, threshold: float = 0.5) -> None:
        from metrics.scorers import SequenceClassifier

        self._classifier = SequenceClassifier(model)
        self.threshold = threshold

    @property
    def revision(self) -> str:
        return self._classifier.revision

    def passes(self, texts: Sequence[str], draw: int = 0) -> np.ndarray[Any, Any]:
        from metrics.scoring.rules import softmax

        return np.asarray(1.0 - softmax(self._classifier(texts))[:, 0] <= self.threshold)


class FlippingScreener:
    """Another screener with a share `rate` of its verdicts flipped, the same ones for the same seed and draw."""

    def __init__(self, screener: Screener, rate: float, seed: int) -> None:
        self._screener = screener
        self.rate = rate
        self.seed = seed

    def passes(self, texts: Sequence[str], draw: int = 0) -> np.ndarray[Any, Any]:
        verdicts = self._screener.passes(texts, draw)
        # Hashed, not drawn from a generator: a resumed run must flip what an unbroken one flips, and of several
        # processes each what one would flip at its place.
        before = rank() * len(texts)
        flips = [
            int.from_bytes(hashlib.sha256(f"{self.seed}/{draw}/{i}".encode()).digest()[:8], "big") < self.rate * 2**64
            for i in range(before, before + len(texts))
        ]
        return np.asarray(verdicts ^ np.asarray(flips, dtype=bool))
