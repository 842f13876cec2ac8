"""Linear classifiers on word n-grams, and how they are kept: what the screener and the guard of fluency share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from metrics.util.files import write_json


class NgramClassifier:
    """Logistic regression on TF-IDF features. A subclass says which features, and fits `weights` and `intercept`.

    Kept in a folder as arrays in safetensors and the vocabulary in JSON: nothing that runs when read. `settings` are
    the keywords that the subclass is made with again.
    """

    file: ClassVar[str]
    vectoriser: Any
    weights: np.ndarray[Any, Any]
    intercept: float

    @property
    def settings(self) -> dict[str, Any]:
        return {}

    @staticmethod
    def new_vectoriser(**settings: Any) -> Any:
        """An unfitted TfidfVectorizer of this kind, with further `settings`."""
        raise NotImplementedError

    def probabilities(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        """[n] probabilities of class 1."""
        logits = self.vectoriser.transform(texts) @ self.weights + self.intercept
        return np.asarray(1.0 / (1.0 + np.exp(-logits)))

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        arrays = {"idf": self.vectoriser.idf_, "weights": self.weights}
        save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, folder / f"{self.file}.safetensors")
        vocabulary = sorted(self.vectoriser.vocabulary_, key=self.vectoriser.vocabulary_.__getitem__)
        described = {"intercept": self.intercept, "settings": self.settings, "vocabulary": vocabulary}
        write_json(folder / f"{self.file}.json", described)

    @classmethod
    def load(cls, folder: Path) -> Self:
        from safetensors.numpy import load_file

        described = json.loads((folder / f"{cls.file}.json").read_text("utf-8"))
        arrays = load_file(folder / f"{cls.file}.safetensors")
        model = cls(**described["settings"])
        model.weights, model.intercept = arrays["weights"], described["intercept"]
        model.vectoriser = cls.new_vectoriser(vocabulary={term: i for i, term in enumerate(described["vocabulary"])})
        model.vectoriser.idf_ = arrays["idf"]
        return model
