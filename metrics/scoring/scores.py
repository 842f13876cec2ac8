"""Scores of the sentences of one system: the metrics by name, and one array for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class SentenceScores:
    """Scores of each sentence, arrays [n]. An empty output is a failure: all its scores are 0.

    Attributes:
        sta: Style accuracy by the profile's rule, in [0, 1].
        sim: Cosine similarity in [-1, 1].
        fl: Fluency by the profile's rule, in [0, 1].
        soft_sta: P(neutral), behind `sta`.
        soft_fl: P(acceptable), behind `fl`.
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
