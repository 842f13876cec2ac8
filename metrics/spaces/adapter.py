"""What the four `evaluate` modules share: features, arguments and results. The science is in metrics.scoring.functions.

`evaluate.load(path, profile)`: the configuration is the metric protocol (metrics/profiles), "offline" by default; all
four modules have the same features and take the same arguments under one profile, as `evaluate.combine` requires.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import datasets
import evaluate

from metrics.data.text import well_formed
from metrics.profiles import load_profile
from metrics.scoring.columns import columns
from metrics.util.errors import InputError

ARGUMENTS = """
Args:
    sources (list of str): the toxic sentences.
    predictions (list of str): their rewrites, in the same order. An empty rewrite is worth 0.
    references (list of str, or list of lists of str): human rewrites; only if the profile compares with them.
    per_sentence (bool): also return the value of every sentence, under the metric's name + "_per_sentence".
Returns:
    dict: the mean over sentences under the metric's name.
Example:
"""


# Abstract, so that `evaluate.load`, which takes the first class it finds in a module, takes the module's own.
class DetoxMetric(evaluate.Metric, ABC):
    """A metric of this project as an evaluate module; a subclass says which one, and what it means.

    Its module's docstring is one line, a blank line, and the example."""

    config_name: str
    meaning: str
    citation_text: str

    @property
    @abstractmethod
    def metric(self) -> str:
        """sta, sim, fl or j."""

    def _info(self) -> evaluate.MetricInfo:
        name = "offline" if self.config_name == "default" else self.config_name
        # A profile file must still be found after a change of working directory.
        self._profile = str(Path(name).resolve()) if name.endswith(".yaml") else name
        # evaluate makes a folder called like the configuration: a path would lead out of its cache.
        self.config_name = Path(name).stem
        example = sys.modules[type(self).__module__].__doc__ or ""
        return evaluate.MetricInfo(
            description=self.meaning,
            citation=self.citation_text,
            inputs_description=ARGUMENTS + example.partition("\n\n")[2],
            features=features(load_profile(self._profile).needs_references),
        )

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Adds sentences to the next `compute`. Errors (InputError): values that are not strings."""
        # evaluate looks at the first value only, and stores str(value) of the others.
        given = {"predictions": predictions, "references": references, **kwargs}
        for name in self.features:
            column = given.get(name)
            if column is None or isinstance(column, str):
                raise InputError(f"{name}: a list with one value per sentence is needed")
            given[name] = [_clean(name, value) for value in column]
        super().add_batch(**given)

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Adds one sentence to the next `compute`. Errors (InputError): values that are not strings."""
        # `source`, as evaluate's own names are in the singular here; combine hands on `sources`.
        columns_of_one = {"predictions": prediction, "references": reference, "sources": kwargs.pop("source", None)}
        columns_of_one |= kwargs
        self.add_batch(**{name: [value] for name, value in columns_of_one.items()})

    def _compute(
        self,
        *,
        sources: list[str],
        predictions: list[str],
        references: Any = None,
        per_sentence: bool = False,
    ) -> dict[str, float | list[float]]:
        values = columns(self.metric, sources, predictions, references, self._profile)[self.metric]
        result: dict[str, float | list[float]] = {self.metric: float(values.mean())}
        if per_sentence:
            result[f"{self.metric}_per_sentence"] = values.tolist()
        return result


def features(needs_references: bool) -> datasets.Features:
    """What a sentence is: source and prediction, and with `needs_references` a list of references."""
    text = datasets.Value("string")
    return datasets.Features(
        {"sources": text, "predictions": text, **({"references": datasets.List(text)} if needs_references else {})}
    )


def _clean(name: str, value: Any) -> str | list[str]:
    """A value as its feature wants it: a reference is a list, of one if it is a string; text is what UTF-8 can hold."""
    if name == "references" and not isinstance(value, str) and isinstance(value, Iterable):
        value = list(value)
        if not value:
            raise InputError("references: a sentence has none")
        return [str(_clean("one of the references", text)) for text in value]
    if not isinstance(value, str):
        raise InputError(f"{name}: {type(value).__name__} in place of a string")
    text = well_formed(value)
    return [text] if name == "references" else text
