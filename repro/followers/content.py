"""The guard of content: WordLlama's static embeddings, which a PyPI package ships (github.com/dleemiller/WordLlama)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from metrics.util.errors import missing_package
from metrics.util.files import sha256_file

_WEIGHTS = "weights/l2_supercat_256.safetensors"
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"


class ContentModel:
    """Cosines of mean token embeddings. It scores no test, so that a leader that games it is found out."""

    @cached_property
    def _folder(self) -> Path:
        spec = find_spec("wordllama")
        if spec is None or spec.origin is None:
            raise missing_package("wordllama", "the guarded follower")
        return Path(spec.origin).parent

    @property
    def revision(self) -> str:
        weights = sha256_file(self._folder / _WEIGHTS)
        return f"wordllama-{version('wordllama')}-{weights[:12]}"

    @cached_property
    def _model(self) -> tuple[np.ndarray[Any, np.dtype[np.float32]], Any]:
        # The files are read here, not by the package: its loader looks for the tokenizer on the Hub, and its import
        # turns on the logging of every other library.
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        weights = load_file(self._folder / _WEIGHTS)["embedding.weight"].astype(np.float32)
        return weights, Tokenizer.from_file(str(self._folder / _TOKENIZER))

    def _embed(self, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        weights, tokenizer = self._model
        # Every source comes with several answers.
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        ids = [encoded.ids for encoded in tokenizer.encode_batch(list(places), add_special_tokens=False)]
        means = np.stack([weights[row].mean(0) if row else np.zeros(weights.shape[1], np.float32) for row in ids])
        unit = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
        return unit[[places[text] for text in texts]]

    def cosine(self, left: Sequence[str], right: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """[n] cosines, in [−1, 1]; 0 where one of the two says nothing."""
        if not left:
            return np.zeros(0, np.float32)
        return np.asarray((self._embed(left) * self._embed(right)).sum(-1))
