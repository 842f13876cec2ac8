"""How a training went, as the stage "training" stores it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repro.training.config import TrainingConfig
from repro.training.development import DevelopmentScores, best_step


@dataclass(frozen=True)
class TrainingOutcome:
    """How a training went.

    Attributes:
        history: Development scores, from the first step on.
        stopped: Why it ended.
        passed: Share of rollouts that passed the follower, in [0, 1], update by update.
        texts: Number of texts to roll out on.
    """

    history: list[DevelopmentScores]
    stopped: str
    passed: list[float]
    texts: int

    @property
    def best(self) -> DevelopmentScores:
        """The development scores of the chosen checkpoint."""
        step = best_step(self.history)
        return next(scores for scores in self.history if scores.step == step)

    def passes_per_epoch(self, config: TrainingConfig) -> list[float]:
        """Return the share of passes in each pass over the texts; the last one may be incomplete."""
        updates = config.epoch_updates(self.texts)
        return [float(np.mean(self.passed[i : i + updates])) for i in range(0, len(self.passed), updates)]


def load_outcome(folder: Path) -> TrainingOutcome:
    """Load what the stage "training" left in `folder`."""
    stored = json.loads((folder / "outcome.json").read_text("utf-8"))
    return TrainingOutcome(
        [DevelopmentScores(**scores) for scores in stored["history"]],
        stored["stopped"],
        [update["passed"] for update in stored["passed"]],
        stored["texts"],
    )
