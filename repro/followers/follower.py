"""The follower: it judges the leader's rollouts. In the SRO paper it is a screener alone; the guarded one checks more.

A leader can game a screener: it learns to write empty phrases. The guarded follower passes a rollout only if it also
says what its source says, word by word (`repro.followers.edits`), and reads as a sentence. Its models (NB-SVM and an
n-gram model, fitted by the run) and its table of equivalents are not among those that score test sets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol

import numpy as np

from metrics.data.text import is_copy, length_ratio
from repro.followers.config import VerdictConfig
from repro.followers.edits import compare
from repro.followers.ngrams import NaturalnessModel
from repro.followers.screener import Screener


class Verdict(IntEnum):
    """A pass, or the reason why a rollout fails.

    TOXIC: the screener rejects it, or it is empty or a copy. CONTENT: it loses or adds too much. FLUENCY: its
    naturalness, the probability that a person wrote it, is too low, or its edits make the words around them improbable.
    """

    PASS = 0
    TOXIC = 1
    CONTENT = 2
    FLUENCY = 3


def verdict_shares(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Return the share of each verdict that occurs, by its name in lower case, sorted by name."""
    names = [verdict.name.lower() for verdict in verdicts]
    return {name: names.count(name) / len(names) for name in sorted(set(names))}


class Fluency(Protocol):
    """Measures how much more probable edits make the text around them (`repro.leader.fluency`)."""

    def fluency_changes(self, sources: Sequence[str], rewrites: Sequence[str]) -> list[float]:
        """Return the change from each of n sources to its rewrite, in nats; negative if the edits read worse."""


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
    """The screener, and guards. A copy of the source fails.

    Attributes:
        naturalness: Says how probably a person wrote an output.
        guards: The limits; see `VerdictConfig` for each.
        likelihood: Measures the edits of outputs that pass the other guards; None switches `guard_likelihood` off.
    """

    screener: Screener
    naturalness: NaturalnessModel
    guards: VerdictConfig
    likelihood: Fluency | None = None
    # The last outputs of `_p_natural` and their probabilities: outputs that are judged are ranked next.
    _last_natural: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)

    def judge(self, sources: Sequence[str], outputs: Sequence[str], call: int = 0) -> list[Verdict]:
        """See `Follower.judge`. Lost content takes precedence over lost fluency."""
        passes = self.screener.passes(outputs, call)
        if self.guards.screener_margin:
            # A screener knows the words of its training texts, and rejects polite rewrites of them for their topic.
            lowered = _log_odds(self.screener.p_toxic(sources)) - _log_odds(self.screener.p_toxic(outputs))
            passes = passes | (lowered >= self.guards.screener_margin)
        natural = self._p_natural(outputs)
        verdicts = [self._verdict(*case) for case in zip(passes, sources, outputs, natural, strict=True)]
        passed = [i for i, verdict in enumerate(verdicts) if verdict == Verdict.PASS]
        if self.likelihood is not None and passed:
            changes = self.likelihood.fluency_changes([sources[i] for i in passed], [outputs[i] for i in passed])
            for i, change in zip(passed, changes, strict=True):
                if change < -self.guards.guard_likelihood:
                    verdicts[i] = Verdict.FLUENCY
        return verdicts

    def _verdict(self, passes: bool, source: str, output: str, natural: float) -> Verdict:
        guards, edits = self.guards, compare(source, output)
        if (
            not passes
            or not output.strip()
            or is_copy(source, output)
            or (guards.guard_rude and (edits.rude or edits.insulting))
        ):
            return Verdict.TOXIC
        if (
            edits.kept < guards.guard_kept
            or len(edits.invented) > guards.guard_invented
            or (guards.guard_claims and (edits.vague or not edits.same_negations))
            or length_ratio(source, output) > guards.guard_length_ratio
        ):
            return Verdict.CONTENT
        if (guards.guard_gaps and edits.gap) or natural < guards.guard_naturalness:
            return Verdict.FLUENCY
        return Verdict.PASS

    def quality(self, sources: Sequence[str], outputs: Sequence[str]) -> np.ndarray[Any, Any]:
        """Return the share of content words kept times P(natural), over one plus the words invented, [n]."""
        edits = [compare(*pair) for pair in zip(sources, outputs, strict=True)]
        kept = np.array([e.kept / (1 + len(e.invented)) for e in edits])
        return np.asarray(kept * self._p_natural(outputs))

    def _p_natural(self, outputs: Sequence[str]) -> Any:
        texts = [*outputs]
        if not self._last_natural or self._last_natural[0] != texts:
            self._last_natural[:] = [texts, self.naturalness.p_natural(texts)]
        return self._last_natural[1]


def _log_odds(p: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(np.log(np.clip(p, 1e-9, 1.0)) - np.log(np.clip(1.0 - p, 1e-9, 1.0)))
