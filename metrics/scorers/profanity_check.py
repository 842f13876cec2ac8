"""The word-based toxicity classifier of the package alt-profanity-check."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np

from metrics.scorers.batching import Array, score_unique
from metrics.util.errors import InputError


class ProfanityCheck:
    """A linear SVM on word counts, trained on Jigsaw and Twitter; it sees words, not meaning.

    Args:
        model: "alt-profanity-check", the only model.
        revision: Not used; the package's version is the revision.
        max_tokens: Not used.

    Raises:
        InputError: Another `model`.
    """

    def __init__(self, model: str, revision: str | None = None, max_tokens: int = 512) -> None:
        if model != "alt-profanity-check":
            raise InputError(f"profanity-check is one model, alt-profanity-check, not {model}")

    @property
    def revision(self) -> str:
        """The version of alt-profanity-check."""
        return version("alt-profanity-check")

    def __call__(self, texts: Sequence[str]) -> Array:
        """Return the logits [n, 2] of the classes neutral and toxic."""
        from profanity_check import predict_prob

        if not texts:
            return np.zeros((0, 2))
        toxic = score_unique(texts, lambda unique: np.asarray(predict_prob(unique), dtype=np.float64))
        toxic = np.clip(toxic, 1e-12, 1 - 1e-12)
        return np.stack([np.log1p(-toxic), np.log(toxic)], axis=-1)
