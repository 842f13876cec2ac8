"""The values behind the `evaluate` modules and their pages: one column per metric name."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from metrics.scoring import FACTORS, functions
from metrics.scoring.functions import Array
from metrics.util.errors import InputError


def columns(
    metric: str,
    sources: Sequence[str],
    predictions: Sequence[str],
    references: functions.References | None = None,
    profile: str = "offline",
) -> dict[str, Array]:
    """{metric: values [n]}; "j" comes after the "sta", "sim" and "fl" it is the product of.

    The latest texts' values are kept, so that four metrics on the same texts cost no more than J alone.
    Errors (InputError): no sentence at all; as `metrics.scoring.functions`.
    """
    if not sources:
        raise InputError("no sentence was given: the mean is not defined")
    texts = (tuple(sources), tuple(predictions), None if references is None else tuple(map(_hashable, references)))
    if metric != "j":
        return {metric: _column(metric, *texts, profile)}
    parts = {name: _column(name, *texts, profile) for name in FACTORS}
    return {**parts, "j": parts["sta"] * parts["sim"] * parts["fl"]}


def _hashable(reference: str | Sequence[str]) -> tuple[str, ...]:
    return (reference,) if isinstance(reference, str) else tuple(reference)


# Three metrics of two sets of texts: what evaluate.combine and a page ask for again.
@functools.lru_cache(maxsize=6)
def _column(
    metric: str,
    sources: tuple[str, ...],
    predictions: tuple[str, ...],
    references: tuple[tuple[str, ...], ...] | None,
    profile: str,
) -> Array:
    if metric == "sim":
        return functions.similarity(sources, predictions, references=references, profile=profile)
    score = {"sta": functions.style_accuracy, "fl": functions.fluency}[metric]
    return score(predictions, sources=sources, references=references, profile=profile)
