"""Linear classifiers on word n-grams, and how they are saved: the base of the screener and the guard of fluency."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from metrics.util.files import write_json


class NgramClassifier:
    """Logistic regression on TF-IDF features. A subclass chooses the features and fits `weights` and `intercept`.

    It is saved as arrays in safetensors and a vocabulary in JSON, so that loading executes nothing.

    Attributes:
        file_stem: Name of its files, without the ending.
        vectorizer: The fitted `TfidfVectorizer`.
        weights: [features].
        intercept: The intercept of the regression.
    """

    file_stem: ClassVar[str]
    vectorizer: Any
    weights: np.ndarray[Any, Any]
    intercept: float

    @property
    def init_arguments(self) -> dict[str, Any]:
        """The keyword arguments to create this object again, saved with it."""
        return {}

    @staticmethod
    def new_vectorizer(**settings: Any) -> Any:
        """Return an unfitted `TfidfVectorizer` of this class, with further `settings`."""
        raise NotImplementedError

    def probabilities(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
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
        values = {"intercept": self.intercept, "settings": self.init_arguments, "vocabulary": vocabulary}
        write_json(folder / f"{self.file_stem}.json", values)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a classifier that `save` wrote to `folder`."""
        from safetensors.numpy import load_file

        values = json.loads((folder / f"{cls.file_stem}.json").read_text("utf-8"))
        arrays = load_file(folder / f"{cls.file_stem}.safetensors")
        model = cls(**values["settings"])
        model.weights, model.intercept = arrays["weights"], values["intercept"]
        model.vectorizer = cls.new_vectorizer(vocabulary={term: i for i, term in enumerate(values["vocabulary"])})
        model.vectorizer.idf_ = arrays["idf"]
        return model
