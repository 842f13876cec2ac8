"""Scores on the development sentences along a training: which step is best, and when to stop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from repro.training.config import DevelopmentConfig


@dataclass(frozen=True)
class DevelopmentScores:
    """The leader's scores after a number of steps, each a mean over the development sentences.

    Attributes:
        step: Updates so far.
        j: J, and its factors `sta`, `sim` and `fl`, in [0, 1].
        copies: Share of outputs that copy their source.
        length_ratio: Words of output per word of source.
        repetition: Share of repeated bigrams, in [0, 1].
        samples: The first sentences, as mappings with `source`, `rewrite` and `j`.
    """

    step: int
    j: float
    sta: float
    sim: float
    fl: float
    copies: float
    length_ratio: float
    repetition: float
    samples: list[dict[str, Any]] = field(default_factory=list)


# Returns the leader's scores at a step.
Evaluate = Callable[[int], DevelopmentScores]


def development_history(log_history: Sequence[dict[str, Any]]) -> list[DevelopmentScores]:
    """Return the development scores in a trainer's `state.log_history`, in order."""
    return [DevelopmentScores(**entry["development"]) for entry in log_history if "development" in entry]


def best_step(history: Sequence[DevelopmentScores]) -> int:
    """Return the step with the highest J, the earliest of equals."""
    return max(history, key=lambda scores: (scores.j, -scores.step)).step


def stop_reason(history: Sequence[DevelopmentScores], config: DevelopmentConfig) -> str | None:
    """Return why training should stop after the scores so far, or None: degenerate text, or no better J."""
    if not history:
        return None
    last = history[-1]
    if last.repetition > config.stop_repetition:
        return f"degenerate at step {last.step}: repetition {last.repetition:.2f} > {config.stop_repetition}"
    limit = config.stop_length_ratio
    if limit and not 1 / limit <= last.length_ratio <= limit:
        return f"degenerate at step {last.step}: length ratio {last.length_ratio:.2f} (limit {limit})"
    since_best = sum(scores.step > best_step(history) for scores in history)
    if config.patience and since_best >= config.patience:
        return f"no better development J in {since_best} evaluations, step {best_step(history)} to {last.step}"
    return None
