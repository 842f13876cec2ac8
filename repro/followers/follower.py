"""The follower: it judges the leader's rollouts. In the SRO paper it is a screener alone; the guarded one checks more.

A leader can game a screener: it learns to write empty phrases. The guarded follower passes a rollout only if it also
keeps the content and reads as a sentence. Its three models (NB-SVM, WordLlama, an n-gram model of the screener's
corpora) are not among those that score test sets: the profile `offline` uses MiniLM and SmolLM2.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol

import numpy as np

from metrics.data.text import is_copy, length_ratio
from repro.followers.content import ContentModel
from repro.followers.ngrams import NaturalnessModel
from repro.followers.screener import Screener


class Verdict(IntEnum):
    """A pass, or the reason why a rollout fails.

    TOXIC: the screener rejects it, or it is empty or a copy. CONTENT: it loses or adds too much. FLUENCY: its
    naturalness, the probability that a person wrote it, is too low.
    """

    PASS = 0
    TOXIC = 1
    CONTENT = 2
    FLUENCY = 3


def verdict_shares(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Return the share of each verdict that occurs, by its name in lower case, sorted by name."""
    names = [verdict.name.lower() for verdict in verdicts]
    return {name: names.count(name) / len(names) for name in sorted(set(names))}


class Follower(Protocol):
    """Judges rewrites of source texts."""

    def judge(self, sources: Sequence[str], outputs: Sequence[str], call: int = 0) -> list[Verdict]:
        """Return the verdict on each of n outputs; `call` seeds a screener that errs at random (see `Screener`)."""

    def quality(self, sources: Sequence[str], outputs: Sequence[str]) -> np.ndarray[Any, Any]:
        """Return the quality of each output, [n], which ranks the passes of one text; ones if there is no ranking."""


@dataclass(frozen=True)
class ScreenerFollower:
    """The follower of the SRO paper: the screener's pass or fail. An empty output fails."""

    screener: Screener

    def judge(self, sources: Sequence[str], outputs: Sequence[str], call: int = 0) -> list[Verdict]:
        """See `Follower.judge`."""
        judged = zip(self.screener.passes(outputs, call), outputs, strict=True)
        return [Verdict.PASS if passes and output.strip() else Verdict.TOXIC for passes, output in judged]

    def quality(self, sources: Sequence[str], outputs: Sequence[str]) -> np.ndarray[Any, Any]:
        """Return ones, [n]: a screener ranks nothing."""
        return np.ones(len(outputs))


@dataclass(frozen=True)
class GuardedFollower:
    """The screener, and guards of content (cosine, words kept, length) and naturalness. A copy of the source fails.

    Attributes:
        min_content: Least cosine of output and source, in [−1, 1]; the next two limits also decide on `CONTENT`.
        min_words_kept: Least `words_kept`, in [0, 1].
        max_length_ratio: Most words of output per word of source.
        min_naturalness: Least P(natural), in [0, 1]; below it the verdict is `FLUENCY`.
    """

    screener: Screener
    content: ContentModel
    naturalness: NaturalnessModel
    min_content: float
    min_words_kept: float
    max_length_ratio: float
    min_naturalness: float
    # The last arguments of `_guard_scores` and its result: outputs that are judged are ranked next.
    _last_scores: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)

    def judge(self, sources: Sequence[str], outputs: Sequence[str], call: int = 0) -> list[Verdict]:
        """See `Follower.judge`. Lost content takes precedence over lost fluency."""
        screened = ScreenerFollower(self.screener).judge(sources, outputs, call)
        scores = zip(*self._guard_scores(sources, outputs), strict=True)
        verdicts = []
        for verdict, source, output, (cosine, natural) in zip(screened, sources, outputs, scores, strict=True):
            if verdict != Verdict.PASS or is_copy(source, output):
                verdicts.append(Verdict.TOXIC)
            elif (
                cosine < self.min_content
                or length_ratio(source, output) > self.max_length_ratio
                or words_kept(source, output) < self.min_words_kept
            ):
                verdicts.append(Verdict.CONTENT)
            else:
                verdicts.append(Verdict.FLUENCY if natural < self.min_naturalness else Verdict.PASS)
        return verdicts

    def quality(self, sources: Sequence[str], outputs: Sequence[str]) -> np.ndarray[Any, Any]:
        """Return cosine (clipped to [0, 1]) times P(natural) of each output, [n]."""
        cosines, natural = self._guard_scores(sources, outputs)
        return np.asarray(np.clip(cosines, 0, 1) * natural)

    def _guard_scores(self, sources: Sequence[str], outputs: Sequence[str]) -> tuple[Any, Any]:
        """Return cosines [n] and P(natural) [n]."""
        texts = [*sources], [*outputs]
        if not self._last_scores or self._last_scores[0] != texts:
            cosines, natural = self.content.cosine(sources, outputs), self.naturalness.p_natural(outputs)
            self._last_scores[:] = [texts, cosines, natural]
        return self._last_scores[1], self._last_scores[2]


def words_kept(source: str, output: str) -> float:
    """Return the share of the source's words that the output has too, in [0, 1]; 1 for a source without words.

    Case is ignored; a word that occurs twice in the source must occur twice in the output.
    """
    before, after = (Counter(re.findall(r"\w+", text.lower())) for text in (source, output))
    return (before & after).total() / before.total() if before else 1.0
