"""Scores of the sentences of one system: the metrics by name, and one array for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class SentenceScores:
    """Scores of each sentence, arrays [n]; all scores of an empty output are 0.

    sta and fl are in [0, 1], by the profile's rules, and soft_sta and soft_fl are the probabilities that the rules are
    applied to: P(neutral) and P(acceptable). sim is a cosine in [-1, 1].
    """

    sta: Array
    sim: Array
    fl: Array
    soft_sta: Array
    soft_fl: Array

    @property
    def j(self) -> Array:
        """The product sta * sim * fl [n]; negative where `sim` is."""
        return self.sta * self.sim * self.fl

    def metric(self, name: str) -> Array:
        """Return the scores [n] called `name`: one of `METRICS`, "soft_sta" or "soft_fl"."""
        return np.asarray(getattr(self, name))
