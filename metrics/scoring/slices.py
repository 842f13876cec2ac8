"""Slices: the mean scores of the sentences of one kind, such as long ones, or those that SIM sank.

A new way to slice is a function and an entry of `SLICINGS`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metrics.scoring import FACTORS, METRICS
from metrics.scoring.toxicity import TOXICITY_KINDS, toxicity_kind

_Array = np.ndarray[Any, Any]
NONE = "none"
# Largest J of a sentence that one of the three metrics sank.
SUNK = 0.5
# Numbers of words; about a third of ParaDetox's test set is short, a third medium and a third long.
_LONGEST_SHORT, _LONGEST_MEDIUM = 8, 12
_LENGTHS = ("short, up to 8 words", "medium, 9 to 12", "long, from 13")


@dataclass(frozen=True)
class ScoredSentences:
    """What slices read of one system's n sentences.

    Attributes:
        source: The toxic sentences [n].
        values: The scores [n] by metric, all of `METRICS`.
        faults: The fault [n] that the profile's judge sees in each output; empty if the profile has no such judge.
    """

    source: Sequence[str]
    values: Mapping[str, _Array]
    faults: Sequence[str] = ()


@dataclass(frozen=True)
class Slicing:
    """One way to slice: `label` returns each sentence's slice [n], or nothing [] if the sentences do not tell.

    Attributes:
        title: Heading of the table.
        names: The slices in the order of the table; others follow, those with the most sentences first.
        of_source: Whether the source alone decides, so that all systems share the slices of a test set.
    """

    title: str
    label: Callable[[ScoredSentences], Sequence[str]]
    names: tuple[str, ...]
    of_source: bool = False


@dataclass(frozen=True)
class Slice:
    """The mean scores of the n > 0 sentences in one slice."""

    slicing: str
    name: str
    n: int
    sta: float
    sim: float
    fl: float
    j: float


def length(source: str) -> str:
    """Return the length of a source; a word is what stands between blanks and has a letter or a digit."""
    words = sum(any(character.isalnum() for character in word) for word in source.split())
    return _LENGTHS[(words > _LONGEST_SHORT) + (words > _LONGEST_MEDIUM)]


def lowest_metric(values: Mapping[str, _Array]) -> list[str]:
    """Return the metric that sank each sentence [n]: the lowest of the three where J is below one half, else "none".

    Of equal scores the first counts, in the order STA, SIM, FL: an empty output, which scores 0, is sunk by STA.
    """
    lowest = np.argmin([values[metric] for metric in FACTORS], axis=0)
    sunk = np.asarray(values["j"]) < SUNK
    return [FACTORS[i].upper() if low else NONE for i, low in zip(lowest.tolist(), sunk.tolist(), strict=True)]


# Name, as in the JSON document -> the slicing.
SLICINGS = {
    "toxicity": Slicing("kind of toxicity", lambda s: [*map(toxicity_kind, s.source)], TOXICITY_KINDS, of_source=True),
    "length": Slicing("length of the source", lambda s: [*map(length, s.source)], _LENGTHS, of_source=True),
    "sunk": Slicing(
        f"lowest metric if J < {SUNK}", lambda s: lowest_metric(s.values), (NONE, *map(str.upper, FACTORS))
    ),
    "fault": Slicing("fault that the judge sees", lambda s: s.faults, (NONE,)),
}


def slice_scores(sentences: ScoredSentences) -> list[Slice]:
    """Return the slices of every slicing; those of one slicing partition the sentences, without empty slices."""
    slices = []
    for key, slicing in SLICINGS.items():
        labels = list(slicing.label(sentences))
        for name, n in _count(slicing, labels).items():
            own = np.array([label == name for label in labels])
            means = {metric: float(np.asarray(sentences.values[metric])[own].mean()) for metric in METRICS}
            slices.append(Slice(key, name, n, **means))
    return slices


def count_outputs(sentences: ScoredSentences) -> tuple[str, dict[str, int]]:
    """Count outputs by the judge's fault, or by the metric that sank them if the profile has no such judge.

    Returns:
        The title of the slicing, and the number of outputs by slice.
    """
    slicing = SLICINGS["fault" if sentences.faults else "sunk"]
    return slicing.title, _count(slicing, slicing.label(sentences))


def count_line(sentences: ScoredSentences) -> str:
    """Return the counts of `count_outputs` in one line: "lowest metric if J < 0.5: none 25, SIM 12, FL 3"."""
    title, counts = count_outputs(sentences)
    return f"{title}: {', '.join(f'{name} {n:,}' for name, n in counts.items())}"


def slice_tables(systems: Mapping[str, ScoredSentences]) -> list[tuple[list[str], list[list[str]]]]:
    """Return one table per slicing, as (head, rows) of text: a row per slice and system, in the order of `systems`."""
    slices = {system: slice_scores(sentences) for system, sentences in systems.items()}
    tables = []
    for key, slicing in SLICINGS.items():
        own = [(system, one) for system, all_ in slices.items() for one in all_ if one.slicing == key]
        order = [*slicing.names, *dict.fromkeys(one.name for _, one in own)]
        own.sort(key=lambda pair: order.index(pair[1].name))
        rows = [
            [one.name, system, f"{one.n:,}", *(f"{getattr(one, metric):.3f}" for metric in METRICS)]
            for system, one in own
        ]
        if rows:
            tables.append(([slicing.title, "system", "n", *map(str.upper, METRICS)], rows))
    return tables


def _count(slicing: Slicing, labels: Sequence[str]) -> dict[str, int]:
    """The number of sentences by slice, in the slicing's order, without empty slices."""
    counts = Counter(labels)
    names = [*(name for name in slicing.names if name in counts), *(name for name, _ in counts.most_common())]
    return {name: counts[name] for name in dict.fromkeys(names)}
