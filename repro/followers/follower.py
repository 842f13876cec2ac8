"""The follower: who answers the leader's rollouts. The paper's asks the screener alone; the guarded one asks more.

A screener alone can be gamed: the leader ends at texts that say nothing. The guarded follower passes a rollout only if
it also keeps the content and reads as a sentence. Its three judges (NB-SVM, WordLlama, an n-gram model of the
screener's corpora) score no test: the profile `offline` reads MiniLM and SmolLM2.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from metrics.data.text import is_copy, length_ratio
from repro.followers.content import ContentModel
from repro.followers.naturalness import NaturalnessModel
from repro.followers.screener import Screener

# The kinds of verdict, by number.
KINDS = ("pass", "toxic", "content", "fluency")
PASS, TOXIC, CONTENT, FLUENCY = range(4)
Kinds = np.ndarray[Any, np.dtype[np.int8]]


def words_kept(source: str, output: str) -> float:
    """The share of the source's words, case aside, that the output has too, each as often; 1 where it has none."""
    before, after = (Counter(re.findall(r"\w+", text.lower())) for text in (source, output))
    return (before & after).total() / before.total() if before else 1.0


class Follower(Protocol):
    def judge(self, sources: Sequence[str], outputs: Sequence[str], draw: int = 0) -> Kinds:
        """[n] the kind of verdict on each output for its source; equal draws answer alike."""
        ...

    def grade(self, sources: Sequence[str], outputs: Sequence[str]) -> np.ndarray[Any, Any]:
        """[n] how good each output is if it passes: what orders the passes of one text. All alike for pass or fail."""
        ...


@dataclass(frozen=True)
class ScreenerFollower:
    """The paper's follower: the screener's pass or fail. Saying nothing is no rewrite and fails as toxic."""

    screener: Screener

    def judge(self, sources: Sequence[str], outputs: Sequence[str], draw: int = 0) -> Kinds:
        passed = self.screener.passes(outputs, draw) & np.array([bool(text.strip()) for text in outputs], dtype=bool)
        return np.where(passed, PASS, TOXIC).astype(np.int8)

    def grade(self, sources: Sequence[str], outputs: Sequence[str]) -> np.ndarray[Any, Any]:
        return np.ones(len(outputs))


@dataclass(frozen=True)
class GuardedFollower:
    """The screener's verdict, and on what it passes those of two guards.

    A copy of the source fails as toxic whatever the screener thinks of it. min_content: least cosine of output and
    source, in [−1, 1]; min_words_kept: least share of the source's words that the output still has, in [0, 1];
    max_length_ratio: most words of output per word of source; these are fails for content.
    min_naturalness: least P(a sentence as people wrote it), in [0, 1]; below it is a fail for fluency.
    """

    screener: Screener
    content: ContentModel
    naturalness: NaturalnessModel
    min_content: float
    min_words_kept: float
    max_length_ratio: float
    min_naturalness: float
    _last: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)

    def judge(self, sources: Sequence[str], outputs: Sequence[str], draw: int = 0) -> Kinds:
        kinds = ScreenerFollower(self.screener).judge(sources, outputs, draw)
        pairs = list(zip(sources, outputs, strict=True))
        kinds[np.array([is_copy(*pair) for pair in pairs], dtype=bool)] = TOXIC
        passing = kinds == PASS
        ratios = np.array([length_ratio(*pair) for pair in pairs])
        kept = np.array([words_kept(*pair) for pair in pairs])
        cosines, natural = self._read(sources, outputs)
        lost = cosines < self.min_content
        lost |= (ratios > self.max_length_ratio) | (kept < self.min_words_kept)
        broken = natural < self.min_naturalness
        kinds[passing & broken] = FLUENCY
        kinds[passing & lost] = CONTENT
        return kinds

    def grade(self, sources: Sequence[str], outputs: Sequence[str]) -> np.ndarray[Any, Any]:
        """Content kept times naturalness, each in [0, 1]."""
        cosines, natural = self._read(sources, outputs)
        return np.asarray(np.clip(cosines, 0, 1) * natural)

    def _read(self, sources: Sequence[str], outputs: Sequence[str]) -> tuple[Any, Any]:
        """Cosines [n] and naturalness [n]. The last answer is kept: what is judged is graded next."""
        asked = [*sources], [*outputs]
        if not self._last or self._last[0] != asked:
            self._last[:] = [asked, self.content.cosine(sources, outputs), self.naturalness.p_natural(outputs)]
        return self._last[1], self._last[2]
