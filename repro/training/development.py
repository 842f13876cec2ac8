"""Scores on the development sentences along a training: which step is best, and when to stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DevelopmentScores:
    """The leader's scores after a number of steps, each a mean over the development sentences.

    Attributes:
        step: Updates so far.
        j: J, and its factors `sta`, `sim` and `fl`, in [0, 1].
        copies: Share of outputs that copy their source.
        length_ratio: Words of output per word of source.
        repetition: Share of repeated bigrams, in [0, 1].
    """

    step: int
    j: float
    sta: float
    sim: float
    fl: float
    copies: float
    length_ratio: float
    repetition: float


def development_history(log_history: Sequence[dict[str, Any]]) -> list[DevelopmentScores]:
    """Return the development scores in a trainer's `state.log_history`, in order."""
    return [DevelopmentScores(**entry["development"]) for entry in log_history if "development" in entry]


def best_step(history: Sequence[DevelopmentScores]) -> int:
    """Return the step with the highest J, the earliest of equals."""
    return max(history, key=lambda scores: (scores.j, -scores.step)).step


def stop_reason(
    history: Sequence[DevelopmentScores], *, max_repetition: float, max_length_ratio: float, patience: int
) -> str | None:
    """Return why training should stop after the scores in `history`, or None.

    Args:
        history: The scores so far, in order.
        max_repetition: Stop above this repetition, because the text degenerates.
        max_length_ratio: Stop above this length ratio or below its inverse; 0 allows any length.
        patience: Stop after so many evaluations in a row without a better J; 0 never.
    """
    if not history:
        return None
    last = history[-1]
    if last.repetition > max_repetition:
        return f"degenerate at step {last.step}: repetition {last.repetition:.2f} > {max_repetition}"
    if max_length_ratio and not 1 / max_length_ratio <= last.length_ratio <= max_length_ratio:
        return f"degenerate at step {last.step}: length ratio {last.length_ratio:.2f} (limit {max_length_ratio})"
    since_best = sum(scores.step > best_step(history) for scores in history)
    if patience and since_best >= patience:
        return f"no better development J in {since_best} evaluations, step {best_step(history)} to {last.step}"
    return None
