"""The metrics as functions on lists of strings: the public API of the package `metrics`.

    >>> import metrics
    >>> sources = ["you are a damn fool", "shut up, idiot"]
    >>> predictions = ["you are wrong", "please be quiet"]
    >>> sta = metrics.style_accuracy(predictions, sources=sources)
    >>> sim = metrics.similarity(sources, predictions)
    >>> fl = metrics.fluency(predictions, sources=sources)
    >>> metrics.joint(sta, sim, fl) == metrics.joint(sources, predictions)
    True

Each function takes `profile`: the name of a metric protocol (metrics/profiles) or the path of a profile file. Values
under different profiles are not comparable. Nothing is cached on disk. An `InputError` says so if counts are unequal,
references are missing, or the profile cannot be loaded.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from metrics.profiles import load_profile
from metrics.scorers.batching import Array
from metrics.scoring import FACTORS
from metrics.scoring.items import Texts, first_columns
from metrics.scoring.measures import MEASURES, Measure
from metrics.util.errors import InputError

References = Texts | Sequence[Texts]
# A text or a number for each sentence.
Column = Texts | Sequence[float] | Array


@functools.lru_cache(maxsize=16)
def load_measure(metric: str, profile: str = "offline") -> Measure:
    """Load one metric ("sta", "sim" or "fl") of a profile; the latest 16 stay loaded.

    Raises:
        InputError: The profile is unknown, or a model of it cannot be found.
    """
    return MEASURES[metric](load_profile(profile))


def style_accuracy(
    predictions: Texts, *, sources: Texts | None = None, references: References | None = None, profile: str = "offline"
) -> Array:
    """Compute STA [n] in [0, 1], how certainly each prediction is not toxic (ACC in Krishna et al. 2020).

    Args:
        predictions: The rewrites [n]; an empty one scores 0.
        sources: The toxic sentences [n]; only offline and clef2025 need them.
        references: The human rewrites [n], one string or a list of strings each; only clef2025 needs them.
    """
    return _score(sources, predictions, references, profile, ["sta"])[0]


def similarity(
    sources: Texts, predictions: Texts, *, references: References | None = None, profile: str = "offline"
) -> Array:
    """Compute SIM [n] in [-1, 1], how much of its source's content each prediction keeps, as the profile says.

    Under `offline` it is the probability that nothing is lost; most others take a cosine of embeddings, as Krishna et
    al. 2020 do, with the source or with references.

    Args:
        sources: The toxic sentences [n].
        predictions: The rewrites [n]; an empty one scores 0.
        references: The human rewrites [n]; only profiles that compare with them need them.
    """
    return _score(_texts("sources", sources), predictions, references, profile, ["sim"])[0]


def fluency(
    predictions: Texts, *, sources: Texts | None = None, references: References | None = None, profile: str = "offline"
) -> Array:
    """Compute FL [n] in [0, 1], how acceptable each prediction is as a sentence (CoLA, Warstadt et al. 2019).

    Args:
        predictions: The rewrites [n]; an empty one scores 0.
        sources: The toxic sentences [n]; only offline, clef2024 and clef2025 need them.
        references: The human rewrites [n]; only clef2024 and clef2025 need them.
    """
    return _score(sources, predictions, references, profile, ["fl"])[0]


def joint(
    first: Column, second: Column, third: References | Column | None = None, *, profile: str = "offline"
) -> float:
    """Compute J, the mean over sentences of STA * SIM * FL, not the product of the means (Krishna et al. 2020).

    Call it as `joint(sta, sim, fl)` with the values of each sentence [n], or with texts [n] under a profile, as
    `joint(sources, predictions)` or `joint(sources, predictions, references)`.

    Raises:
        InputError: As the other metrics; or no sentences, or values outside [-1, 1].
    """
    first = _list("sta or sources", first)
    if not first:
        raise InputError("J of no sentences is not defined")
    if isinstance(first[0], str):
        arrays = _score(first, second, third, profile, FACTORS)
    elif third is None:
        raise InputError("joint takes (sta, sim, fl), or (sources, predictions[, references])")
    else:
        arrays = [_numbers(name, values) for name, values in zip(FACTORS, (first, second, third), strict=True)]
    if len({array.shape for array in arrays}) != 1:
        raise InputError(f"sta, sim and fl of {', '.join(str(len(array)) for array in arrays)} sentences")
    return float((arrays[0] * arrays[1] * arrays[2]).mean())


def metric_values(
    metric: str, sources: Texts, predictions: Texts, references: References | None = None, profile: str = "offline"
) -> dict[str, Array]:
    """Return {metric: values [n]} of one metric; for "j" its factors "sta", "sim" and "fl" come first.

    The values of the latest texts stay in memory, so that four metrics on the same texts cost no more than J alone.

    Raises:
        InputError: No sentences; as the metrics.
    """
    if not sources:
        raise InputError("no sentence was given: the mean is not defined")
    if references is not None:
        references = tuple((texts,) if isinstance(texts, str) else tuple(texts) for texts in references)
    names = FACTORS if metric == "j" else (metric,)
    values = {name: _cached_values(name, tuple(sources), tuple(predictions), references, profile) for name in names}
    return {**values, "j": values["sta"] * values["sim"] * values["fl"]} if metric == "j" else values


# Three metrics of two sets of texts: evaluate.combine and the pages request the same texts once for each metric.
@functools.lru_cache(maxsize=6)
def _cached_values(metric: str, sources: Texts, predictions: Texts, references: Any, profile: str) -> Array:
    return _score(sources, predictions, references, profile, [metric])[0]


def _numbers(name: str, values: Any) -> Array:
    """`values` as an array [n] of finite numbers in [-1, 1]."""
    listed = _list(name, values)
    try:
        array = np.asarray(listed)
        if array.ndim != 1 or array.dtype.kind not in "fiub":
            raise ValueError
    except ValueError:
        raise InputError(f"{name}: a list of numbers is needed, one per sentence") from None
    array = array.astype(np.float64)
    if not (abs(array) <= 1).all():
        raise InputError(f"{name}: holds a value that is not finite, or not in [−1, 1]")
    return array


def _score(sources: Any, predictions: Any, references: Any, profile: str, metrics: Sequence[str]) -> list[Array]:
    """The first column [n] of each metric."""
    measures = [load_measure(metric, profile) for metric in metrics]
    predictions = _texts("predictions", predictions)
    if sources is None:
        if any(m.needs_references for m in measures):
            raise InputError(f"profile {profile} compares with sources and references; give both")
        if any(m.reads_pairs for m in measures):
            raise InputError(f"profile {profile} compares with the toxic sentences; give sources=[…]")
        sources = [""] * len(predictions)
    if references is not None:
        references = [(r,) if isinstance(r, str) else r for r in _list("references", references)]
        references = [_texts(f"references[{i}]", texts) for i, texts in enumerate(references)]
    return first_columns(measures, _texts("sources", sources), predictions, references)


def _list(name: str, values: Any) -> list[Any]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InputError(f"{name}: a list of strings is needed, not {type(values).__name__}")
    return list(values)


def _texts(name: str, values: Any) -> list[str]:
    """`values` as a list of strings."""
    texts = _list(name, values)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"{name}[{i}]: {type(text).__name__}, not a string")
    return texts
