"""Linear classifiers on word n-grams: NB-SVM, which is the paper's screener, and the naturalness guard."""

import json
import random
import re
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from metrics.util.errors import InputError
from metrics.util.files import write_json

_PUNCTUATION = re.compile(f"([{re.escape(string.punctuation)}“”¨«»®´·º½¾¿¡§£₤‘’])")
_MAX_WORDS = 25


def split_punctuation(text: str) -> list[str]:
    """Return the words of `text`, with each punctuation mark as a word of its own."""
    return _PUNCTUATION.sub(r" \1 ", text).split()


class NgramClassifier:
    """Logistic regression on TF-IDF features. A subclass chooses the features and fits `weights` and `intercept`.

    It is saved as arrays in safetensors and a vocabulary in JSON, so that loading executes nothing.

    Args:
        settings: The keyword arguments of the subclass, which are saved with it.

    Attributes:
        file_stem: Name of its files, without the ending.
        tfidf: Keyword arguments of its `TfidfVectorizer`.
        weights: Coefficients of the regression, [features].
    """

    file_stem: ClassVar[str]
    tfidf: ClassVar[dict[str, Any]]
    vectorizer: Any
    weights: np.ndarray[Any, Any]
    intercept: float

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    @classmethod
    def _new_vectorizer(cls, **options: Any) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(token_pattern=None, sublinear_tf=True, **cls.tfidf, **options)

    def _probabilities(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        """Return P(class 1) of each text, [n]."""
        logits = self.vectorizer.transform(texts) @ self.weights + self.intercept
        return np.asarray(1.0 / (1.0 + np.exp(-logits)))

    def save(self, folder: Path) -> None:
        """Write the fitted classifier to `folder`."""
        from safetensors.numpy import save_file

        arrays = {"idf": self.vectorizer.idf_, "weights": self.weights}
        path = folder / f"{self.file_stem}.safetensors"
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)
        vocabulary = sorted(self.vectorizer.vocabulary_, key=self.vectorizer.vocabulary_.__getitem__)
        values = {"intercept": self.intercept, "settings": self._settings, "vocabulary": vocabulary}
        write_json(path.with_suffix(".json"), values)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a classifier that `save` wrote to `folder`."""
        from safetensors.numpy import load_file

        values = json.loads((folder / f"{cls.file_stem}.json").read_text("utf-8"))
        arrays = load_file(folder / f"{cls.file_stem}.safetensors")
        model = cls(**values["settings"])
        model.weights, model.intercept = arrays["weights"], values["intercept"]
        model.vectorizer = cls._new_vectorizer(vocabulary={term: i for i, term in enumerate(values["vocabulary"])})
        model.vectorizer.idf_ = arrays["idf"]
        return model


class NBSVM(NgramClassifier):
    """NB-SVM (Wang and Manning 2012) with the settings of the released SRO screener.

    TF-IDF on word 1–2-grams (min_df 3, max_df .9, accents stripped, sublinear tf), features times the log-count ratio
    r = log((p+1)/(q+1)) of normalised class counts, logistic regression with C = 4.

    Args:
        threshold: A text passes if P(toxic) is at most this, in [0, 1].
    """

    file_stem = "nb_svm"
    tfidf: ClassVar[dict[str, Any]] = {
        "ngram_range": (1, 2), "tokenizer": split_punctuation, "strip_accents": "unicode",
    }  # fmt: skip

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__(threshold=threshold)
        self.threshold = threshold

    def fit(self, toxic: Sequence[str], neutral: Sequence[str]) -> Self:
        """Fit on texts of both classes and return self.

        Raises:
            InputError: A class has no texts.
        """
        from sklearn.linear_model import LogisticRegression

        if not toxic or not neutral:
            raise InputError("screener: needs toxic and neutral texts; choose corpora that have both")
        self.vectorizer = self._new_vectorizer(min_df=3, max_df=0.9)
        features = self.vectorizer.fit_transform([*toxic, *neutral])
        labels = np.array([1] * len(toxic) + [0] * len(neutral))
        toxic_counts = (np.asarray(features[labels == 1].sum(0)).ravel() + 1) / (len(toxic) + 1)
        neutral_counts = (np.asarray(features[labels == 0].sum(0)).ravel() + 1) / (len(neutral) + 1)
        self.ratio = np.log(toxic_counts / neutral_counts)
        model = LogisticRegression(C=4.0, max_iter=1000).fit(features.multiply(self.ratio).tocsr(), labels)
        self.weights, self.intercept = self.ratio * model.coef_[0], float(model.intercept_[0])
        return self

    def p_toxic(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        """Return P(toxic) of each text, [n]."""
        return self._probabilities(texts)

    def passes(self, texts: Sequence[str], call: int = 0) -> np.ndarray[Any, Any]:
        """See `repro.followers.screener.Screener.passes`."""
        return np.asarray(self.p_toxic(texts) <= self.threshold)


class NaturalnessModel(NgramClassifier):
    """P(natural): TF-IDF on word 1–3-grams with sentence boundaries, logistic regression.

    It learns to tell sentences of the screener's corpora from the same ones with words dropped, doubled, swapped or
    inserted. Toxic and neutral sentences are both human, so it says nothing about toxicity.
    """

    file_stem = "naturalness"
    tfidf: ClassVar[dict[str, Any]] = {"ngram_range": (1, 3), "tokenizer": str.split, "lowercase": False}

    def fit(self, sentences: Sequence[str], seed: int) -> Self:
        """Fit on human sentences, of which it uses those of 3 to 25 words, against their corruptions, and return self.

        Raises:
            InputError: No sentence has 3 to 25 words.
        """
        from sklearn.linear_model import LogisticRegression

        rng = random.Random(seed)
        natural = [text for text in sentences if 3 <= len(text.split()) <= _MAX_WORDS]
        corrupted = [corrupt_sentence(text, natural, rng) for text in natural]
        pairs = [(a, b) for a, b in zip(natural, corrupted, strict=True) if a != b]
        if not pairs:
            raise InputError(f"the naturalness guard needs sentences of 3 to {_MAX_WORDS} words; choose other corpora")
        self.vectorizer = self._new_vectorizer(min_df=2)
        features = self.vectorizer.fit_transform([_tokens(text) for side in zip(*pairs, strict=True) for text in side])
        labels = [1] * len(pairs) + [0] * len(pairs)
        model = LogisticRegression(C=10.0, max_iter=1000).fit(features, labels)
        self.weights, self.intercept = model.coef_[0], float(model.intercept_[0])
        return self

    def p_natural(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        """Return P(natural) of each text, [n]; case is ignored."""
        return self._probabilities([_tokens(text) for text in texts])


def _tokens(text: str) -> str:
    """Return lower-case words with sentence boundaries, separated by spaces."""
    return f"<s> <s> {' '.join(split_punctuation(text.lower()))} </s> </s>"


def corrupt_sentence(text: str, others: Sequence[str], rng: random.Random) -> str:
    """Return `text` with one or two errors that rewriters make; inserted words come from the sentences `others`."""
    words = text.split()
    for _ in range(rng.randint(1, 2)):
        position = rng.randrange(len(words))
        kind = rng.randrange(5)
        if kind == 0 and len(words) > 3:
            del words[position]
        elif kind == 1:
            words.insert(position, words[position])
        elif kind == 2 and position + 1 < len(words):
            words[position], words[position + 1] = words[position + 1], words[position]
        elif kind == 3:
            words.insert(position, rng.choice(rng.choice(others).split()))
        elif len(words) > 4:
            del words[position : position + rng.randint(2, 3)]
    return " ".join(words)
