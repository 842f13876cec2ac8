"""The metrics as plain functions on lists of strings: what other programs import.

    >>> import metrics
    >>> sources = ["you are a damn fool", "shut up, idiot"]
    >>> predictions = ["you are wrong", "please be quiet"]
    >>> sta = metrics.style_accuracy(predictions)
    >>> sim = metrics.similarity(sources, predictions)
    >>> fl = metrics.fluency(predictions)
    >>> metrics.joint(sta, sim, fl) == metrics.joint(sources, predictions)
    True

Each takes `profile`, the name of a metric protocol (metrics/profiles) or a profile file; values under different
profiles cannot be compared. Nothing is cached on disk. Inputs are scored in batches of similar length, equal ones once.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from metrics.util.errors import InputError

if TYPE_CHECKING:
    from metrics.scoring.measures import Measure

Array = np.ndarray[Any, np.dtype[np.float64]]
References = Sequence[str] | Sequence[Sequence[str]]


@functools.lru_cache(maxsize=16)
def measure(metric: str, profile: str = "offline") -> Measure:
    """One metric of a profile, loaded once. Errors: an unknown profile, models or files that cannot be had."""
    from metrics.profiles import load_profile
    from metrics.scoring.measures import MEASURES

    return MEASURES[metric](load_profile(profile))


def style_accuracy(
    predictions: Sequence[str],
    *,
    sources: Sequence[str] | None = None,
    references: References | None = None,
    profile: str = "offline",
) -> Array:
    """STA: whether each prediction is not toxic, shape [n], in [0, 1] (0 or 1 unless the profile is soft).

    sources and references are needed by profiles that compare with them (clef2025). An empty prediction is worth 0.
    Source: Krishna et al. 2020 (ACC); the profile names the protocol. Errors (InputError): unequal counts, missing
    references, a profile whose models cannot be had.
    """
    return _score(sources, predictions, references, profile, ["sta"])[0]


def similarity(
    sources: Sequence[str],
    predictions: Sequence[str],
    *,
    references: References | None = None,
    profile: str = "offline",
) -> Array:
    """SIM: cosine of each prediction with its source (or references, if the profile says so), shape [n], in [−1, 1].

    Never clipped at 0. An empty prediction is worth 0. Source: Wieting et al. 2019, Krishna et al. 2020; the profile
    names the model. Errors (InputError): as `style_accuracy`.
    """
    return _score(_texts("sources", sources), predictions, references, profile, ["sim"])[0]


def fluency(
    predictions: Sequence[str],
    *,
    sources: Sequence[str] | None = None,
    references: References | None = None,
    profile: str = "offline",
) -> Array:
    """FL: how acceptable each prediction is as a sentence, shape [n], in [0, 1].

    sources and references are needed by profiles that compare with them (clef2024, clef2025). An empty prediction is
    worth 0. Source: CoLA (Warstadt et al. 2019) as used by Krishna et al. 2020. Errors (InputError): as
    `style_accuracy`.
    """
    return _score(sources, predictions, references, profile, ["fl"])[0]


def joint(
    first: Sequence[str] | Sequence[float] | Array,
    second: Sequence[str] | Sequence[float] | Array,
    third: References | Sequence[float] | Array | None = None,
    *,
    profile: str = "offline",
) -> float:
    """J, the mean over sentences of STA · SIM · FL, in [−1, 1]: not the product of the means (Krishna et al. 2020).

    `joint(sta, sim, fl)`: from three arrays of per-sentence values [n], as the other functions give them.
    `joint(sources, predictions)` and `joint(sources, predictions, references)`: from texts, under `profile`.
    Errors (InputError): unequal counts, no sentence at all, values outside [−1, 1]; as `style_accuracy`.
    """
    first = _list("sta or sources", first)
    if not first:
        raise InputError("J of no sentences is not defined")
    if isinstance(first[0], str):
        arrays = _score(first, second, third, profile, ["sta", "sim", "fl"])
    elif third is None:
        raise InputError("joint takes (sta, sim, fl), or (sources, predictions[, references])")
    else:
        named = zip(("sta", "sim", "fl"), (first, second, third), strict=True)
        arrays = [_numbers(name, values) for name, values in named]
    if len({array.shape for array in arrays}) != 1:
        raise InputError(f"sta, sim and fl of {', '.join(str(len(array)) for array in arrays)} sentences")
    return float((arrays[0] * arrays[1] * arrays[2]).mean())


def _numbers(name: str, values: Any) -> Array:
    """`values` as an array [n]. Errors: no list of finite numbers in [−1, 1]."""
    listed = _list(name, values)
    try:
        array = np.asarray(listed)
        if array.ndim != 1 or array.dtype.kind not in "fiub":
            raise ValueError
    except ValueError:
        raise InputError(f"{name}: a list of numbers is needed, one per sentence") from None
    if not (np.isfinite(array) & (abs(array.astype(np.float64)) <= 1)).all():
        raise InputError(f"{name}: holds a value that is not finite, or not in [−1, 1]")
    return array.astype(np.float64)


def _score(sources: Any, predictions: Any, references: Any, profile: str, metrics: Sequence[str]) -> list[Array]:
    """The first column of each metric, [n] each."""
    from metrics.scoring.measures import score_chunks, to_items

    measures = [measure(metric, profile) for metric in metrics]
    predictions = _texts("predictions", predictions)
    if sources is None:
        if any(m.needs_references for m in measures):
            raise InputError(f"profile {profile} compares with sources and references; give both")
        sources = [""] * len(predictions)
    if references is not None:
        references = [(r,) if isinstance(r, str) else r for r in _list("references", references)]
        references = [_texts(f"references[{i}]", texts) for i, texts in enumerate(references)]
    items = to_items(_texts("sources", sources), predictions, references, measures)
    done = dict(score_chunks(items, measures, "scoring"))
    starts = np.cumsum([0, *(len(m.columns) for m in measures)])[:-1]
    return [np.array([done[i][start] if i in done else 0.0 for i in items], dtype=np.float64) for start in starts]


def _list(name: str, values: Any) -> list[Any]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InputError(f"{name}: a list of strings is needed, not {type(values).__name__}")
    return list(values)


def _texts(name: str, values: Any) -> list[str]:
    """`values` as a list. Errors: no list, values that are not strings."""
    texts = _list(name, values)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"{name}[{i}]: {type(text).__name__}, not a string")
    return texts
