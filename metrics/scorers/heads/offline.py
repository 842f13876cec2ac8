"""Scoring with the heads: P(toxic), P(acceptable) and similarity from one forward pass of each backbone per text."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from metrics.scorers.batching import Array, TextCache
from metrics.scorers.heads import features
from metrics.scorers.heads.features import Floats, HiddenStates, MiniLM, SmolLM2
from metrics.util.files import content_hash, sha256_file

HEADS = Path(__file__).parent
FILES = ("acceptability.safetensors", "toxicity.safetensors")
# A sentence is about as toxic as its most toxic token: the smooth maximum of token log-odds at this temperature.
TEMPERATURE = 0.5
# MiniLM's layer for comparing words: states below it encode spelling, states above it the whole sentence.
WORD_LAYER = 4
# Of the cosines of `alignment_cosines`. A source word counts less, because detoxification drops some.
SIMILARITY_WEIGHTS = np.array([0.4, 0.4, 0.2])


@dataclass(frozen=True)
class TokenEmbeddings:
    """Unit-length embeddings of a sentence [384] and its tokens [n, 384], and the indices of each word's tokens."""

    sentence: Floats
    tokens: Floats
    words: tuple[tuple[int, ...], ...]


class OfflineHeads:
    """Toxicity, acceptability and similarity of texts in their canonical form (see `canonical`).

    Raises:
        InputError: A head file is missing or has another format.
    """

    def __init__(self) -> None:
        self._mini, self._smol = MiniLM(), SmolLM2()
        self._log_odds = TextCache(self._compute_log_odds)
        self._similarities = TextCache(self._compute_similarities)

    @cached_property
    def revision(self) -> str:
        """The revisions of both backbones and a hash of the head files."""
        heads = content_hash([sha256_file(HEADS / file) for file in FILES])[:12]
        return f"{self._smol.ref.revision}+{self._mini.ref.revision}+heads-{heads}"

    def toxicity(self, texts: Sequence[str]) -> Array:
        """Return P(toxic) [n]: a calibrated sum of log-odds from token states, n-grams and alt-profanity-check."""
        texts = [features.canonical(text) for text in texts]
        if not texts:
            return np.zeros(0)
        head = self._toxicity
        tokens = [toxic for toxic, _ in self._log_odds(texts)]
        grams = features.character_ngrams(texts) @ head["grams.weight"] + head["bias"][1]
        members = np.column_stack([tokens, grams, features.profanity_log_odds(texts)])
        return sigmoid(head["platt"][0] * (members @ head["mix"]) + head["platt"][1])

    def acceptability(self, texts: Sequence[str]) -> Array:
        """Return P(acceptable) [n] as CoLA's annotators judge sentences; most accurate on detokenised texts."""
        texts = [features.canonical(text) for text in texts]
        return sigmoid(np.array([acceptable for _, acceptable in self._log_odds(texts)], dtype=np.float64))

    def similarity(self, left: Sequence[str], right: Sequence[str]) -> Array:
        """Return how much each rewrite (`right`) preserves of its source (`left`) [n], in [-1, 1]; 1 for equal texts.

        It is the weighted mean of the cosines of `alignment_cosines`; negative values are not clipped.
        """
        if len(left) != len(right):
            raise ValueError(f"{len(left)} texts against {len(right)}")
        pairs = list(zip(map(features.canonical, left), map(features.canonical, right), strict=True))
        return np.array(self._similarities(pairs), dtype=np.float64)

    @cached_property
    def _toxicity(self) -> dict[str, Array]:
        return features.load_head(HEADS / FILES[1], ("tokens.weight", "grams.weight", "bias", "mix", "platt"))

    @cached_property
    def _acceptability(self) -> dict[str, Array]:
        return features.load_head(HEADS / FILES[0], ("weight", "bias"))

    def _compute_log_odds(self, texts: list[str]) -> list[tuple[float, float]]:
        """(log-odds of the token member of toxicity, log-odds of being acceptable) of each text."""
        toxic, acceptable = self._toxicity, self._acceptability

        def log_odds(hidden: HiddenStates) -> tuple[float, float]:
            tokens = features.token_states(hidden, SmolLM2.toxic_layers) @ toxic["tokens.weight"] + toxic["bias"][0]
            pooled = features.pooled_states(hidden)
            return smooth_maximum(tokens), float(pooled @ acceptable["weight"] + acceptable["bias"][0])

        return self._smol.extract(texts, "toxicity and fluency", log_odds)

    def _compute_similarities(self, pairs: list[tuple[str, str]]) -> list[float]:
        distinct = list(dict.fromkeys(text for side in zip(*pairs, strict=True) for text in side))
        # Not cached: the embeddings take some hundred times the memory of the text.
        embeddings = dict(zip(distinct, self._embed(distinct), strict=True))
        values = [alignment_cosines(embeddings[a], embeddings[b]) for a, b in pairs]
        cosines: list[float] = np.clip(np.array(values) @ SIMILARITY_WEIGHTS, -1.0, 1.0).tolist()
        return cosines

    def _embed(self, texts: list[str]) -> list[TokenEmbeddings]:
        def vectors(hidden: HiddenStates) -> tuple[Floats, Floats]:
            return unit_length(hidden.states[6].mean(0).numpy()), unit_length(hidden.states[WORD_LAYER].numpy())

        rows = self._mini.extract(texts, "similarity", vectors)
        return [
            TokenEmbeddings(sentence, tokens, self._mini.word_indices(text))
            for text, (sentence, tokens) in zip(texts, rows, strict=True)
        ]


@functools.cache
def offline_heads() -> OfflineHeads:
    """Return this process's heads. STA, SIM and FL share them, so that each text passes each backbone once."""
    return OfflineHeads()


class _HeadsScorer:
    """Base class of the scorers of the profile `offline`; their only model is "offline-heads"."""

    def __init__(self, model: str, revision: str | None, max_tokens: int) -> None:
        self._heads = offline_heads()

    @property
    def revision(self) -> str:
        """The revision of `OfflineHeads`."""
        return self._heads.revision


class HeadsSimilarity(_HeadsScorer):
    """`OfflineHeads.similarity` as a scorer."""

    def cosine(self, left: Sequence[str], right: Sequence[str]) -> Array:
        """Return the similarities [n] of n pairs of source and rewrite."""
        return self._heads.similarity(left, right)


class HeadsToxicity(_HeadsScorer):
    """`OfflineHeads.toxicity` as a classifier: logits [n, 2] of the classes neutral and toxic."""

    def __call__(self, texts: Sequence[str]) -> Array:
        return _logits(1.0 - self._heads.toxicity(texts))


class HeadsAcceptability(_HeadsScorer):
    """`OfflineHeads.acceptability` as a classifier: logits [n, 2] of the classes acceptable and unacceptable."""

    def __call__(self, texts: Sequence[str]) -> Array:
        return _logits(self._heads.acceptability(texts))


def _logits(p: Array) -> Array:
    """Logits [n, 2] whose softmax is (p, 1 - p)."""
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return np.stack([np.log(p), np.log1p(-p)], axis=-1)


def smooth_maximum(log_odds: Array) -> float:
    """Return T * log(sum(exp(x / T))), a little above the largest of `log_odds` [n]; T is `TEMPERATURE`."""
    scaled = np.asarray(log_odds, dtype=np.float64) / TEMPERATURE
    return float(TEMPERATURE * (scaled.max() + np.log(np.exp(scaled - scaled.max()).sum())))


def alignment_cosines(source: TokenEmbeddings, output: TokenEmbeddings) -> tuple[float, float, float]:
    """Compare a rewrite with its source by greedy matching, as BERTScore (Zhang et al. 2020) but with its minimum.

    The minima show the one invented or lost word that an average over the sentence hides.

    Returns:
        The cosine of the sentence embeddings; the cosine of the output's word that the source supports least with what
        supports it best; the cosine of the source's word that the output preserves least with its best match.
    """
    cosines = output.tokens @ source.tokens.T
    # Special tokens take part in the matching: a word that was dropped on purpose finds some support there.
    supported, preserved = cosines.max(1), cosines.max(0)
    least = [
        min(float(values[list(indices)].mean()) for indices in text.words)
        for values, text in ((supported, output), (preserved, source))
    ]
    return float(source.sentence @ output.sentence), least[0], least[1]


def unit_length(rows: Floats) -> Floats:
    """Divide each row [..., width] by its Euclidean norm."""
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def sigmoid(z: Array) -> Array:
    """Return the probabilities of log-odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(z, -500, 500))))
