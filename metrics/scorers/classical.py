"""Scorers without neural models, from Python packages whose version is their revision: alt-profanity-check and chrF."""

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np

from metrics.scorers.batching import Array, score_unique
from metrics.util.errors import InputError


class ProfanityCheck:
    """A linear SVM on word counts, trained on Jigsaw and Twitter; it sees words, not meaning."""

    def __init__(self, model: str, revision: str | None = None, max_tokens: int = 512) -> None:
        self.revision = _package_version("profanity-check", "alt-profanity-check", model)

    def __call__(self, texts: Sequence[str]) -> Array:
        """Return the logits [n, 2] of the classes neutral and toxic."""
        from profanity_check import predict_prob

        if not texts:
            return np.zeros((0, 2))
        toxic = score_unique(texts, lambda unique: np.asarray(predict_prob(unique), dtype=np.float64))
        toxic = np.clip(toxic, 1e-12, 1 - 1e-12)
        return np.stack([np.log1p(-toxic), np.log(toxic)], axis=-1)


class ChrF:
    """Sentence-level chrF in [0, 1] (Popović 2015) with sacrebleu's defaults: chrF2, character 6-grams (CLEF 2024)."""

    def __init__(self, model: str, revision: str | None = None, max_tokens: int = 512) -> None:
        self.revision = _package_version("chrf", "sacrebleu", model)

    def compare(self, sources: Sequence[str], outputs: Sequence[str], references: Sequence[str]) -> Array:
        """Return the chrF [n] of each output with its reference; the sources are not used."""
        from sacrebleu.metrics.chrf import CHRF

        metric = CHRF()
        pairs = zip(outputs, references, strict=True)
        return np.array([metric.sentence_score(output, [reference]).score / 100 for output, reference in pairs])


def _package_version(scorer: str, package: str, model: str) -> str:
    if model != package:
        raise InputError(f"the only model of {scorer} is {package}, not {model}")
    return version(package)
