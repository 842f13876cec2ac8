"""Scores on disk."""

from pathlib import Path

from metrics.scorers import FAULTS
from metrics.scoring import COLUMNS
from metrics.util.number_cache import NumberCache

# Counts the changes to how models are loaded and texts split after which scores of the same signature may be others.
CACHE_VERSION = 2


class ScoreCache(NumberCache):
    """Maps a content hash to the scores of one sentence, in the order of `COLUMNS`; raises as `NumberCache` does.

    `faults` maps one to the place of the sentence's fault in `FAULTS`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "score", COLUMNS)
        self.faults = NumberCache(path, "fault", ["number"], lambda number: number in range(len(FAULTS)))
