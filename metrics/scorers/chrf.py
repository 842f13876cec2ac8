"""Fluency as closeness to a human reference: chrF (CLEF 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np

from metrics.scorers.batching import Array
from metrics.util.errors import InputError


class ChrF:
    """Sentence-level chrF in [0, 1] (Popović 2015) with sacrebleu's defaults: chrF2, character 6-grams.

    Args:
        model: "sacrebleu", the only implementation.
        revision: Not used; sacrebleu's version is the revision.
        max_tokens: Not used.

    Raises:
        InputError: Another `model`.
    """

    def __init__(self, model: str, revision: str | None = None, max_tokens: int = 512) -> None:
        if model != "sacrebleu":
            raise InputError(f"chrf is computed by sacrebleu, not {model}")

    @property
    def revision(self) -> str:
        """The version of sacrebleu."""
        return version("sacrebleu")

    def compare(self, sources: Sequence[str], outputs: Sequence[str], references: Sequence[str]) -> Array:
        """Return the chrF [n] of each output with its reference; the sources are not used."""
        from sacrebleu.metrics.chrf import CHRF

        metric = CHRF()
        pairs = zip(outputs, references, strict=True)
        return np.array([metric.sentence_score(output, [reference]).score / 100 for output, reference in pairs])
