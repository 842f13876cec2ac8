"""The guard of fluency: a linear model on word n-grams that tells human sentences from corrupted ones.

It learns from the screener's corpora: each sentence, and the same with words dropped, doubled, swapped or inserted from
elsewhere. Toxic and neutral sentences are both human, so it says nothing about toxicity.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from metrics.util.errors import InputError
from repro.followers.ngrams import NgramClassifier
from repro.followers.screener import split_punctuation

_MAX_WORDS = 25


def corrupt_sentence(text: str, others: Sequence[str], rng: random.Random) -> str:
    """Return `text` with one or two errors that rewriters make.

    Args:
        text: A sentence.
        others: Sentences that inserted words come from.
        rng: Chooses the errors.
    """
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


class NaturalnessModel(NgramClassifier):
    """P(natural): TF-IDF on word 1–3-grams with sentence boundaries, logistic regression."""

    file_stem = "naturalness"

    def fit(self, sentences: Sequence[str], seed: int) -> NaturalnessModel:
        """Fit on the sentences against their corruptions and return self.

        Args:
            sentences: Human sentences; those of 3 to 25 words are used.
            seed: Seed of the corruptions.

        Raises:
            InputError: No sentence has 3 to 25 words.
        """
        from sklearn.linear_model import LogisticRegression

        rng = random.Random(seed)
        natural = [text for text in sentences if 3 <= len(text.split()) <= _MAX_WORDS]
        corrupted = [corrupt_sentence(text, natural, rng) for text in natural]
        pairs = [(a, b) for a, b in zip(natural, corrupted, strict=True) if a != b]
        if not pairs:
            raise InputError(f"the guard of fluency needs sentences of 3 to {_MAX_WORDS} words; choose other corpora")
        self.vectorizer = self.new_vectorizer(min_df=2)
        features = self.vectorizer.fit_transform([_tokens(text) for side in zip(*pairs, strict=True) for text in side])
        labels = [1] * len(pairs) + [0] * len(pairs)
        model = LogisticRegression(C=10.0, max_iter=1000).fit(features, labels)
        self.weights, self.intercept = model.coef_[0], float(model.intercept_[0])
        return self

    @staticmethod
    def new_vectorizer(**settings: Any) -> Any:
        """See `NgramClassifier.new_vectorizer`."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(
            ngram_range=(1, 3), tokenizer=str.split, token_pattern=None, sublinear_tf=True, lowercase=False, **settings
        )

    def p_natural(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        """Return P(natural) of each text, [n]; case is ignored."""
        return self.probabilities([_tokens(text) for text in texts])


def _tokens(text: str) -> str:
    """Return lower-case words with sentence boundaries, separated by spaces."""
    return f"<s> <s> {' '.join(split_punctuation(text.lower()))} </s> </s>"
