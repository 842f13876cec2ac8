"""The guard of fluency: a linear model on word n-grams that tells sentences as people wrote them from broken ones.

It learns from the screener's corpora alone: each sentence, and the same with words dropped, doubled, swapped or put in
from elsewhere. Toxic and neutral sentences are both whole ones, so that it says nothing of toxicity.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from metrics.util.errors import InputError
from repro.followers.ngrams import NgramClassifier
from repro.followers.screener import split_punctuation

MAX_WORDS = 25


def break_sentence(text: str, others: Sequence[str], rng: random.Random) -> str:
    """`text` with one or two of the errors that rewriters make."""
    words = text.split()
    for _ in range(rng.randint(1, 2)):
        place = rng.randrange(len(words))
        kind = rng.randrange(5)
        if kind == 0 and len(words) > 3:
            del words[place]
        elif kind == 1:
            words.insert(place, words[place])
        elif kind == 2 and place + 1 < len(words):
            words[place], words[place + 1] = words[place + 1], words[place]
        elif kind == 3:
            words.insert(place, rng.choice(rng.choice(others).split()))
        elif len(words) > 4:
            del words[place : place + rng.randint(2, 3)]
    return " ".join(words)


class NaturalnessModel(NgramClassifier):
    """P(a sentence as people wrote it): TF-IDF on word 1–3-grams with the ends marked, logistic regression."""

    file = "naturalness"

    def fit(self, sentences: Sequence[str], seed: int) -> NaturalnessModel:
        """Learns from `sentences`, each against the same broken by `seed`. Errors: none of 3 to 25 words."""
        from sklearn.linear_model import LogisticRegression

        rng = random.Random(seed)
        whole = [text for text in sentences if 3 <= len(text.split()) <= MAX_WORDS]
        broken = [break_sentence(text, whole, rng) for text in whole]
        pairs = [(a, b) for a, b in zip(whole, broken, strict=True) if a != b]
        if not pairs:
            raise InputError(f"the guard of fluency: needs sentences of 3 to {MAX_WORDS} words; choose other corpora")
        self.vectoriser = self.new_vectoriser(min_df=2)
        features = self.vectoriser.fit_transform([_marked(text) for side in zip(*pairs, strict=True) for text in side])
        labels = [1] * len(pairs) + [0] * len(pairs)
        model = LogisticRegression(C=10.0, max_iter=1000).fit(features, labels)
        self.weights, self.intercept = model.coef_[0], float(model.intercept_[0])
        return self

    @staticmethod
    def new_vectoriser(**settings: Any) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(
            ngram_range=(1, 3), tokenizer=str.split, token_pattern=None, sublinear_tf=True, lowercase=False, **settings
        )

    def p_natural(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        """[n] probabilities; case does not count."""
        return self.probabilities([_marked(text) for text in texts])


def _marked(text: str) -> str:
    return f"<s> <s> {' '.join(split_punctuation(text.lower()))} </s> </s>"
