"""Wieting's paraphrase similarity (Wieting et al. 2019), the SIM of STRAP, s-nlp and SRO: a mean of piece embeddings.

Its weights, sim.pt and sim.sp.30k.model, are on no hub; SRO_WIETING names the folder where the user keeps them. sim.pt
is a torch file: it is read with weights-only unpickling, which builds tensors and plain containers and runs nothing.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from metrics.scorers.batching import Array, bounded, score_unique
from metrics.util.errors import InputError, missing_package
from metrics.util.files import content_hash, sha256_file

FILES = ("sim.pt", "sim.sp.30k.model")
PLACEHOLDER = "UUUNKKK"


class WietingSimilarity:
    """Cosines [n] in [−1, 1]; negative values are real and stay (STRAP's own files hold −.2647)."""

    def __init__(self, model: str, revision: str | None = None, max_tokens: int = 512) -> None:
        folder = Path(os.environ.get("SRO_WIETING", "")).expanduser()
        missing = [name for name in FILES if not (folder / name).is_file()]
        if not os.environ.get("SRO_WIETING") or missing:
            raise InputError(
                f"{model}: {' and '.join(missing or FILES)} not found; set SRO_WIETING to the folder that holds "
                f"{' and '.join(FILES)} (style.cs.umass.edu), or choose a profile with another SIM"
            )
        for package in ("nltk", "sentencepiece"):
            if importlib.util.find_spec(package) is None:
                raise missing_package(package, model)
        self._folder = folder
        self._max_tokens = max_tokens

    @cached_property
    def revision(self) -> str:
        return f"sha256:{content_hash([sha256_file(self._folder / name) for name in FILES])[:16]}"

    @cached_property
    def _loaded(self) -> tuple[dict[str, int], Array, Any, Any]:
        from nltk.tokenize import TreebankWordTokenizer

        vocabulary, embeddings = _read_weights(self._folder / FILES[0])
        return vocabulary, embeddings, _read_pieces(self._folder / FILES[1]), TreebankWordTokenizer()

    def indices(self, text: str) -> list[int]:
        """The vocabulary indices that the released code averages for `text`.

        Lower case, Treebank tokens, sentencepiece pieces; unknown pieces are skipped, and so is the piece with index 0
        (the released code tests the index itself for truth); with nothing left, the placeholder.
        """
        vocabulary, _, pieces, words = self._loaded
        spaced = " ".join(words.tokenize(text.lower()))
        found = [vocabulary.get(piece.lower()) for piece in pieces.encode(spaced, out_type=str)]
        return [index for index in found if index] or [vocabulary[PLACEHOLDER]]

    def _embed(self, texts: list[str]) -> Array:
        embeddings = self._loaded[1]
        return np.stack([embeddings[self.indices(text)].mean(0) for text in texts])

    def cosine(self, left: Sequence[str], right: Sequence[str]) -> Array:
        if not left:
            return np.zeros(0)
        both = score_unique(bounded([*left, *right], self._max_tokens), self._embed)
        norms = np.maximum(np.linalg.norm(both, axis=-1, keepdims=True), 1e-8)
        unit = both / norms
        return np.clip((unit[: len(left)] * unit[len(left) :]).sum(-1), -1.0, 1.0)


def _read_weights(path: Path) -> tuple[dict[str, int], Array]:
    """(vocabulary, embeddings [pieces, width]). Errors: code in the file, another structure."""
    import argparse

    import torch

    try:
        # `args` is a Namespace in the released file: a bag of attributes, safe to build.
        with torch.serialization.safe_globals([argparse.Namespace]):
            saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch's own message advises to read the file as code after all; below it lies what was found.
        reason = " ".join(str(error.__context__ or error).split())[:300] or type(error).__name__
        raise InputError(f"{path}: not readable as weights only, which runs no code; refused ({reason})") from None
    try:
        vocabulary, embeddings = saved["vocab_words"], saved["state_dict"]["embedding.weight"].double().numpy()
        rows = range(len(embeddings)) if embeddings.ndim == 2 else ()
        fits = all(type(index) is int and index in rows for index in vocabulary.values())
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InputError(f"{path}: not Wieting's sim.pt ({reason})") from None
    if not fits or PLACEHOLDER not in vocabulary:
        raise InputError(f"{path}: not Wieting's sim.pt (no {PLACEHOLDER}, or fewer embeddings than pieces)")
    return vocabulary, embeddings


def _read_pieces(path: Path) -> Any:
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(path))
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{path}: not a sentencepiece model ({reason})") from None
