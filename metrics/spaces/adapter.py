"""The base class of the four `evaluate` modules: features, arguments, results; `metrics.scoring` computes the values.

`evaluate.load(path, profile)`: evaluate's configuration is the profile (metrics/profiles), "offline" by default. Under
one profile all four modules have the same features and arguments, as `evaluate.combine` requires.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import datasets
import evaluate

from metrics.data.text import well_formed
from metrics.profiles import load_profile
from metrics.scoring.functions import metric_values
from metrics.util.errors import InputError

_ARGUMENTS = """
Args:
    sources (list of str): the toxic sentences.
    predictions (list of str): their rewrites, in the same order. An empty rewrite scores 0.
    references (list of str, or list of lists of str): human rewrites; only if the profile uses them.
    per_sentence (bool): also return the value of every sentence, under the metric's name + "_per_sentence".
Returns:
    dict: the mean over sentences under the metric's name.
Example:
"""
_CITATION = """\
@inproceedings{krishna-etal-2020-reformulating,
  title = {Reformulating Unsupervised Style Transfer as Paraphrase Generation},
  author = {Krishna, Kalpesh and Wieting, John and Iyyer, Mohit},
  booktitle = {Proceedings of EMNLP 2020},
  year = {2020}
}
"""


# `evaluate.load` takes the first class in a module that is not abstract: with ABC here, the module's own.
class DetoxMetric(evaluate.Metric, ABC):
    """A metric of this project as an evaluate module.

    The docstring of a subclass's module is one line, a blank line, and an example.

    Attributes:
        meaning: What the metric measures, and its range.
        citation_text: BibTeX entries; by default the paper that defines J (Krishna et al., 2020).
    """

    config_name: str
    meaning: str
    citation_text = _CITATION

    @property
    @abstractmethod
    def metric(self) -> str:
        """The name of the metric: "sta", "sim", "fl" or "j"."""

    def _info(self) -> evaluate.MetricInfo:
        name = "offline" if self.config_name == "default" else self.config_name
        # The path of a profile must stay valid after a change of the working directory.
        self._profile = str(Path(name).resolve()) if name.endswith(".yaml") else name
        # evaluate creates a folder with the configuration's name: a path would lead out of its cache.
        self.config_name = Path(name).stem
        example = sys.modules[type(self).__module__].__doc__ or ""
        text = datasets.Value("string")
        features: dict[str, Any] = {"sources": text, "predictions": text}
        if load_profile(self._profile).needs_references:
            features["references"] = datasets.List(text)
        return evaluate.MetricInfo(
            description=self.meaning, citation=self.citation_text, features=datasets.Features(features),
            inputs_description=_ARGUMENTS + example.partition("\n\n")[2],
        )  # fmt: skip

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Add rewrites to the next `compute`, with their `sources` and, if the profile uses them, human `references`.

        Raises:
            InputError: A value is not a string.
        """
        # evaluate checks the first value only, and stores str(value) of the others.
        inputs = {"predictions": predictions, "references": references, **kwargs}
        for name in self.features:
            column = inputs.get(name)
            if column is None or isinstance(column, str):
                raise InputError(f"{name}: a list with one value per sentence is needed")
            inputs[name] = [_clean(name, value) for value in column]
        super().add_batch(**inputs)

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Add one rewrite to the next `compute`, like `add_batch`; `evaluate.combine` calls the source `sources`."""
        sentence = {"predictions": prediction, "references": reference, "sources": kwargs.pop("source", None), **kwargs}
        self.add_batch(**{name: [value] for name, value in sentence.items()})

    def _compute(
        self, *, sources: list[str], predictions: list[str], references: Any = None, per_sentence: bool = False
    ) -> dict[str, float | list[float]]:
        values = metric_values(self.metric, sources, predictions, references, self._profile)[self.metric]
        mean: dict[str, float | list[float]] = {self.metric: float(values.mean())}
        return {**mean, f"{self.metric}_per_sentence": values.tolist()} if per_sentence else mean


def _clean(name: str, value: Any) -> str | list[str]:
    """A value in the type of its feature: references as a list, also a single one; text without lone surrogates."""
    if name == "references" and not isinstance(value, str) and isinstance(value, Iterable):
        value = list(value)
        if not value:
            raise InputError("references: a sentence has no reference")
        return [str(_clean("one of the references", text)) for text in value]
    if not isinstance(value, str):
        raise InputError(f"{name}: {type(value).__name__} in place of a string")
    return [well_formed(value)] if name == "references" else well_formed(value)
