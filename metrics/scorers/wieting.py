"""Wieting's paraphrase similarity (Wieting et al. 2019), the SIM of STRAP, s-nlp and SRO: mean subword embeddings.

Its weights, sim.pt and sim.sp.30k.model, are not on the Hub; SRO_WIETING names the user's folder with them. sim.pt is a
pickled torch file; weights-only unpickling builds tensors and plain containers and executes no code.
"""

import importlib.util
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from metrics.scorers.batching import Array, pair_cosines, score_unique, truncate
from metrics.util.errors import InputError, missing_package, one_line
from metrics.util.files import content_hash, sha256_file

_FILES = ("sim.pt", "sim.sp.30k.model")
_PLACEHOLDER = "UUUNKKK"


class WietingSimilarity:
    """Cosine of mean subword embeddings. The weights come from SRO_WIETING, whatever `model` and `revision` are.

    Raises:
        InputError: A file or a package is missing.
    """

    def __init__(self, model: str, revision: str | None = None, max_tokens: int = 512) -> None:
        self._folder, self._max_tokens = Path(os.environ.get("SRO_WIETING", "")).expanduser(), max_tokens
        missing = [name for name in _FILES if not (self._folder / name).is_file()]
        if not os.environ.get("SRO_WIETING") or missing:
            remedy = f"set SRO_WIETING to the folder that holds {' and '.join(_FILES)} (style.cs.umass.edu)"
            found = f"{model}: {' and '.join(missing or _FILES)} not found"
            raise InputError(f"{found}; {remedy}, or choose a profile with another SIM")
        for package in ("nltk", "sentencepiece"):
            if importlib.util.find_spec(package) is None:
                raise missing_package(package, model)

    @cached_property
    def revision(self) -> str:
        """A hash of both files."""
        return f"sha256:{content_hash([sha256_file(self._folder / name) for name in _FILES])[:16]}"

    @cached_property
    def _loaded(self) -> tuple[dict[str, int], Array, Any, Any]:
        from nltk.tokenize import TreebankWordTokenizer
        from sentencepiece import SentencePieceProcessor

        vocabulary, embeddings = _read_weights(self._folder / _FILES[0])
        path = self._folder / _FILES[1]
        try:
            return vocabulary, embeddings, SentencePieceProcessor(model_file=str(path)), TreebankWordTokenizer()
        except Exception as error:
            raise InputError(f"{path}: not a sentencepiece model ({one_line(error)})") from None

    def indices(self, text: str) -> list[int]:
        """Return the vocabulary indices whose embeddings the published code averages for `text`.

        Unknown pieces are skipped, and so is the piece with index 0, because the published code tests the index itself
        for truth. If no piece is left, the placeholder stands for the text.
        """
        vocabulary, _, sentencepiece, treebank = self._loaded
        tokens = " ".join(treebank.tokenize(text.lower()))
        indices = [vocabulary.get(piece.lower()) for piece in sentencepiece.encode(tokens, out_type=str)]
        return [index for index in indices if index] or [vocabulary[_PLACEHOLDER]]

    def _embed(self, texts: list[str]) -> Array:
        """Embeddings [n, width] of unit length."""
        embeddings = self._loaded[1]
        means = np.stack([embeddings[self.indices(text)].mean(0) for text in texts])
        return means / np.maximum(np.linalg.norm(means, axis=-1, keepdims=True), 1e-8)

    def cosine(self, left: Sequence[str], right: Sequence[str]) -> Array:
        """Return the cosines [n] of n pairs, in [-1, 1]; STRAP's own files have values down to -.2647."""
        return pair_cosines(left, right, lambda texts: score_unique(truncate(texts, self._max_tokens), self._embed))


def _read_weights(path: Path) -> tuple[dict[str, int], Array]:
    """(vocabulary, embeddings [pieces, width]) of sim.pt; refuses a file that would execute code."""
    import argparse

    import torch

    try:
        # `args` is a Namespace in the published file: a plain container of attributes, safe to build.
        with torch.serialization.safe_globals([argparse.Namespace]):
            saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch's message advises to unpickle without weights_only; the exception below it names the reason.
        reason = one_line(error.__context__ or error) or type(error).__name__
        limit = "cannot be read with weights-only unpickling, which executes no code"
        raise InputError(f"{path}: {limit} ({reason})") from None
    try:
        vocabulary, embeddings = saved["vocab_words"], saved["state_dict"]["embedding.weight"].double().numpy()
        rows = range(len(embeddings)) if embeddings.ndim == 2 else ()
        fits = all(type(index) is int and index in rows for index in vocabulary.values())
    except Exception as error:
        raise InputError(f"{path}: not Wieting's sim.pt ({type(error).__name__}: {one_line(error)})") from None
    if not fits or _PLACEHOLDER not in vocabulary:
        raise InputError(f"{path}: not Wieting's sim.pt (no {_PLACEHOLDER}, or fewer embeddings than pieces)")
    return vocabulary, embeddings
