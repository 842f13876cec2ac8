"""Rewrites with the judgements of people, wherever they were collected."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
ASPECTS = ("style", "meaning", "fluency")
# "absolute": is the output neutral? "pairwise": is it less toxic than its source?
STYLE_QUESTIONS = ("absolute", "pairwise")


@dataclass(frozen=True)
class JudgedRewrites:
    """n rewrites; judgements: aspect, or "joint" for the product of the three -> means [n] in [0, 1], 1 is best.

    Judges who answered about one aspect leave that one alone. `language` is an ISO 639-1 code; `style_question`, one of
    `STYLE_QUESTIONS`, is what the judges of style were asked.
    """

    sources: list[str]
    outputs: list[str]
    systems: list[str]
    judgements: dict[str, Array]
    language: str = "en"
    style_question: str = "absolute"

    def title(self, aspect: str) -> str:
        """Return the name of an aspect on a table: with "(pairwise)" if style, or a part of the joint, is pairwise."""
        return f"{aspect} (pairwise)" if self.style_question == "pairwise" and aspect in ("style", "joint") else aspect

    def at(self, places: Sequence[int]) -> Self:
        """Return the rewrites at `places`, in this order."""
        sources, outputs, systems = (
            [column[i] for i in places] for column in (self.sources, self.outputs, self.systems)
        )
        judgements = {aspect: values[list(places)] for aspect, values in self.judgements.items()}
        return replace(self, sources=sources, outputs=outputs, systems=systems, judgements=judgements)


@dataclass(frozen=True)
class JudgedPairs:
    """n pairs of rewrites of one source each; outcomes [n]: the mean of people's answers, from 0 (second) to 1 (first).

    .5 means that people find both equal, or that as many prefer one as the other.
    """

    sources: Sequence[str]
    first: Sequence[str]
    second: Sequence[str]
    systems: Sequence[tuple[str, str]]
    outcomes: Array
    language: str = "en"

    def at(self, places: Sequence[int]) -> Self:
        """Return the pairs at `places`, in this order."""
        sources, first, second = ([column[i] for i in places] for column in (self.sources, self.first, self.second))
        systems, outcomes = [self.systems[i] for i in places], self.outcomes[list(places)]
        return replace(self, sources=sources, first=first, second=second, systems=systems, outcomes=outcomes)
