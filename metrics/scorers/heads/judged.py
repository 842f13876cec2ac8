"""STA, SIM and FL of the profile `offline`, version 3: the judge of content beside the heads of version 2.

Each is a pair scorer: it reads a rewrite with its source. The weights here were chosen on the development half of the
contrast set and on `paradetox-dev`; docs/results/agreement.md says what was tried.
"""

import functools
from collections.abc import Sequence

import numpy as np

from metrics.scorers.batching import Array
from metrics.scorers.heads.content import KINDS, ContentJudge
from metrics.scorers.heads.offline import offline_heads, sigmoid

# The judge says whether content is kept, the alignment of words how much: the weight of the judge's log-odds, log-odds
# per unit of cosine, and its middle.
_CONTENT_WEIGHT, _ALIGNMENT_SLOPE, _ALIGNMENT_CENTRE = 0.75, 10.0, 0.57
# Log-odds of politeness are doubled: below one half P drops faster, and what both find polite differs less. The judge's
# are shifted first, because it doubts some harsh but polite sentences.
_POLITENESS_SLOPE, _POLITENESS_SHIFT = 2.0, 2.0
# Weights of the judge's log-odds of fluency and of those of the source's own acceptability.
_JUDGE_WEIGHT, _SOURCE_WEIGHT = 0.6, 0.5
_SMALLEST = 1e-4


@functools.cache
def content_judge() -> ContentJudge:
    """Return this process's judge, so that each pair is read once."""
    return ContentJudge()


class _JudgedScorer:
    """Base class of the pair scorers; their only model is "offline-judge"."""

    def __init__(self, model: str, revision: str | None, max_tokens: int) -> None:
        self._heads, self._judge = offline_heads(), content_judge()

    @property
    def revision(self) -> str:
        """The revisions of the heads and of the judge."""
        return f"{self._heads.revision}+{self._judge.revision}"

    def _politeness(self, sources: Sequence[str], outputs: Sequence[str]) -> Array:
        """P(neither a rude word nor an insult) [n], which two scorers need."""
        judged = np.array([judgement.polite for judgement in self._judge(sources, outputs)], dtype=np.float64)
        return combine_politeness(judged, self._heads.toxicity(outputs))


class JudgedPoliteness(_JudgedScorer):
    """P(the rewrite has neither a rude word nor an insult): the product of the toxicity head's and the judge's."""

    def __call__(self, sources: Sequence[str], outputs: Sequence[str]) -> Array:
        """Return the probabilities [n] of n pairs."""
        return self._politeness(sources, outputs)


class JudgedContent(_JudgedScorer):
    """P(the rewrite says what its source says, rude words aside)."""

    def __call__(self, sources: Sequence[str], outputs: Sequence[str]) -> Array:
        """Return the probabilities [n] of n pairs."""
        faithful = np.array([judgement.kinds[0] for judgement in self._judge(sources, outputs)], dtype=np.float64)
        return combine_content(faithful, self._heads.similarity(sources, outputs))

    def faults(self, sources: Sequence[str], outputs: Sequence[str]) -> list[str]:
        """Return the likeliest fault of each pair, one of `metrics.scorers.FAULTS`.

        A probability below one half is a fault. One of content or English is named before rudeness.
        """
        content, polite = self(sources, outputs), self._politeness(sources, outputs)
        names = []
        for judgement, kept, p_polite in zip(self._judge(sources, outputs), content, polite, strict=True):
            if kept < 0.5 or judgement.fluent < 0:
                names.append(KINDS[1 + int(judgement.kinds[1:].argmax())])
            else:
                names.append("rude" if p_polite < 0.5 else KINDS[0])
        return names


class JudgedFluency(_JudgedScorer):
    """P(the rewrite is at least as good English as its source): chat remains chat, a gap or a repetition does not."""

    def __call__(self, sources: Sequence[str], outputs: Sequence[str]) -> Array:
        """Return the probabilities [n] of n pairs."""
        judged = np.array([judgement.fluent for judgement in self._judge(sources, outputs)], dtype=np.float64)
        return combine_fluency(judged, self._heads.acceptability(outputs), self._heads.acceptability(sources))


def combine_politeness(judged: Array, toxic: Array) -> Array:
    """Return STA [n] of the judge's log-odds and the toxicity head's P(toxic) [n]: the product of two probabilities."""
    judge, head = judged + _POLITENESS_SHIFT, -_log_odds(toxic)
    return sigmoid(_POLITENESS_SLOPE * judge) * sigmoid(_POLITENESS_SLOPE * head)


def combine_content(faithful: Array, alignment: Array) -> Array:
    """Return SIM [n] of the judge's P(kept) and the alignment's cosines [n]; one log-odds is added to the other."""
    return sigmoid(_CONTENT_WEIGHT * _log_odds(faithful) + _ALIGNMENT_SLOPE * (alignment - _ALIGNMENT_CENTRE))


def combine_fluency(judged: Array, output: Array, source: Array) -> Array:
    """Return FL [n] of the judge's log-odds and the acceptability, in [0, 1], of the output and of its source [n]."""
    return sigmoid(_JUDGE_WEIGHT * judged + _log_odds(output) - _SOURCE_WEIGHT * _log_odds(source))


def _log_odds(p: Array) -> Array:
    p = np.clip(p, _SMALLEST, 1 - _SMALLEST)
    return np.asarray(np.log(p / (1 - p)))
