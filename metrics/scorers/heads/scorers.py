"""Scoring with the heads: P(toxic), P(acceptable) and similarity, one pass of each backbone per distinct text."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from metrics.scorers.heads.features import (
    CHUNK,
    Floats,
    MiniLM,
    Reading,
    SmolLM2,
    canonical,
    character_ngrams,
    pooled_states,
    profanity_log_odds,
    token_states,
)
from metrics.util.errors import InputError
from metrics.util.files import content_hash, sha256_file

Array = np.ndarray[Any, np.dtype[np.float64]]
HEADS = Path(__file__).parent
FILES = ("acceptability.safetensors", "toxicity.safetensors")
# A sentence is about as toxic as its most toxic token: the smooth maximum of token log-odds at this temperature.
TEMPERATURE = 0.5
# The layer of MiniLM at which words are compared; below it a word is a spelling, above it the whole sentence.
WORD_LAYER = 4
# Sentence embeddings, the output's least supported word, the source's least kept word (detoxifying loses some).
SIMILARITY_WEIGHTS = np.array([0.4, 0.4, 0.2])


class Memo:
    """The latest 65,536 texts' values; what is missing is computed chunk by chunk, each distinct text once."""

    def __init__(self, compute: Callable[[list[str]], Sequence[Any]], size: int = 65_536) -> None:
        self._compute = compute
        self._size = size
        self._values: OrderedDict[str, Any] = OrderedDict()

    def __call__(self, texts: Sequence[str]) -> list[Any]:
        # Values of this call are held apart: it may have more distinct texts than the memo keeps.
        own = {text: self._values[text] for text in texts if text in self._values}
        missing = [text for text in dict.fromkeys(texts) if text not in own]
        for start in range(0, len(missing), CHUNK):
            chunk = missing[start : start + CHUNK]
            own.update(zip(chunk, self._compute(chunk), strict=True))
        for text in own:
            self._values[text] = own[text]
            self._values.move_to_end(text)
        while len(self._values) > self._size:
            self._values.popitem(last=False)
        return [own[text] for text in texts]


@dataclass(frozen=True)
class Words:
    """A text as `similarity` compares it. sentence [384], tokens [n, 384]: unit length; groups: the tokens of words."""

    sentence: Floats
    tokens: Floats
    groups: tuple[tuple[int, ...], ...]


class OfflineHeads:
    """Toxicity, acceptability and similarity of any strings; one instance serves STA, SIM and FL.

    Texts are read in canonical form (`metrics.scorers.heads.features.canonical`), so spacing and casing alone change
    nothing. Errors: a head file that is missing or of another form.
    """

    def __init__(self) -> None:
        self._mini, self._smol = MiniLM(), SmolLM2()
        self._log_odds = Memo(self._read_smol)

    @cached_property
    def revision(self) -> str:
        """Both backbones' revisions and a hash over the head files."""
        heads = content_hash([sha256_file(HEADS / file) for file in FILES])[:12]
        return f"{self._smol.ref.revision}+{self._mini.ref.revision}+heads-{heads}"

    def toxicity(self, texts: Sequence[str]) -> Array:
        """[n]: P(toxic) in [0, 1], a calibrated sum of three log-odds: token states, n-grams, profanity-check."""
        own = [canonical(text) for text in texts]
        if not own:
            return np.zeros(0)
        head = self._toxicity
        tokens = np.array([toxic for toxic, _ in self._log_odds(own)])
        grams = character_ngrams(own) @ head["grams.weight"] + head["bias"][1]
        members = np.column_stack([tokens, grams, profanity_log_odds(own)])
        return _sigmoid(head["platt"][0] * (members @ head["mix"]) + head["platt"][1])

    def acceptability(self, texts: Sequence[str]) -> Array:
        """[n]: P(acceptable) in [0, 1], as CoLA's authors judge sentences; best on detokenised texts."""
        own = [canonical(text) for text in texts]
        return _sigmoid(np.array([acceptable for _, acceptable in self._log_odds(own)], dtype=np.float64))

    def similarity(self, left: Sequence[str], right: Sequence[str]) -> Array:
        """[n]: how much of each source (left) its rewrite (right) says, in [−1, 1]; 1 for equal texts, never clipped.

        A weighted mean of three cosines of MiniLM's states: of the sentence embeddings; of the rewrite's least
        supported word with what supports it best in the source; of the source's least kept word with the rewrite.
        The last two see the one invented or lost word that the first averages away (greedy matching as in BERTScore,
        Zhang et al. 2020, but its minimum).
        """
        if len(left) != len(right):
            raise ValueError(f"{len(left)} texts against {len(right)}")
        if not left:
            return np.zeros(0)
        own = [canonical(text) for text in (*left, *right)]
        distinct = list(dict.fromkeys(own))
        # Not kept: a text's states take some hundred times its own memory.
        words = dict(zip(distinct, self._read_mini(distinct), strict=True))
        pairs = zip(own[: len(left)], own[len(left) :], strict=True)
        values = [compare_words(words[a], words[b]) for a, b in pairs]
        return np.clip(np.array(values) @ SIMILARITY_WEIGHTS, -1.0, 1.0)

    @cached_property
    def _toxicity(self) -> dict[str, Array]:
        return _read_head(HEADS / "toxicity.safetensors", ("tokens.weight", "grams.weight", "bias", "mix", "platt"))

    @cached_property
    def _acceptability(self) -> dict[str, Array]:
        return _read_head(HEADS / "acceptability.safetensors", ("weight", "bias"))

    def _read_smol(self, texts: list[str]) -> list[tuple[float, float]]:
        """(log-odds of the token member of toxicity, log-odds of being acceptable) of each text."""
        toxic, acceptable = self._toxicity, self._acceptability

        def row(reading: Reading) -> tuple[float, float]:
            tokens = token_states(reading, SmolLM2.toxic_layers) @ toxic["tokens.weight"] + toxic["bias"][0]
            return smooth_maximum(tokens), float(pooled_states(reading) @ acceptable["weight"] + acceptable["bias"][0])

        return self._smol.read(texts, "toxicity and fluency", row)

    def _read_mini(self, texts: list[str]) -> list[Words]:
        rows = self._mini.read(
            texts, "similarity", lambda r: (r.states[6].mean(0).numpy(), r.states[WORD_LAYER].numpy())
        )
        return [
            Words(_unit(mean), _unit(tokens), self._mini.words(text))
            for text, (mean, tokens) in zip(texts, rows, strict=True)
        ]


def smooth_maximum(log_odds: Array) -> float:
    """T · log Σ exp(x / T): a little above the largest of `log_odds` [n]."""
    scaled = np.asarray(log_odds, dtype=np.float64) / TEMPERATURE
    return float(TEMPERATURE * (scaled.max() + np.log(np.exp(scaled - scaled.max()).sum())))


def compare_words(source: Words, output: Words) -> tuple[float, float, float]:
    """Cosines: of the sentences, of the output's least supported word, of the source's least kept word."""
    cosines = output.tokens @ source.tokens.T
    # Special tokens take part as counterparts: a word that was dropped on purpose finds some support there.
    supported, kept = cosines.max(1), cosines.max(0)
    least = [
        min(float(values[list(group)].mean()) for group in words.groups)
        for values, words in ((supported, output), (kept, source))
    ]
    return float(source.sentence @ output.sentence), least[0], least[1]


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def _read_head(path: Path, names: Sequence[str]) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read ({error}); run `python -m metrics.heads train`") from None
    if set(tensors) != set(names):
        raise InputError(f"{path}: holds {sorted(tensors)}, not {sorted(names)}; run `python -m metrics.heads train`")
    return {name: tensor.astype(np.float64) for name, tensor in tensors.items()}


def _sigmoid(z: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(z, -500, 500))))
