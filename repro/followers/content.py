"""The guard of content: cosines of WordLlama's static embeddings (github.com/dleemiller/WordLlama)."""

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
    """Cosines of mean token embeddings. No metric uses it, so scores reveal a leader that games it."""

    @cached_property
    def _folder(self) -> Path:
        spec = find_spec("wordllama")
        if spec is None or spec.origin is None:
            raise missing_package("wordllama", "the guarded follower")
        return Path(spec.origin).parent

    @property
    def revision(self) -> str:
        """Version of the package and hash of its weights."""
        return f"wordllama-{version('wordllama')}-{sha256_file(self._folder / _WEIGHTS)[:12]}"

    @cached_property
    def _model(self) -> tuple[np.ndarray[Any, np.dtype[np.float32]], Any]:
        # Without the package's own loader, which looks for the tokenizer on the Hub, and whose import turns on the
        # logging of every other library.
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        weights = load_file(self._folder / _WEIGHTS)["embedding.weight"].astype(np.float32)
        return weights, Tokenizer.from_file(str(self._folder / _TOKENIZER))

    def _embed(self, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        weights, tokenizer = self._model
        # A source occurs once per rollout.
        rows = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        ids = [encoded.ids for encoded in tokenizer.encode_batch(list(rows), add_special_tokens=False)]
        means = np.stack([weights[tokens].mean(0) if tokens else np.zeros_like(weights[0]) for tokens in ids])
        unit = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
        return unit[[rows[text] for text in texts]]

    def cosine(self, left: Sequence[str], right: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the cosine of each pair of texts, in [−1, 1], [n]; 0 where a text has no tokens."""
        if not left:
            return np.zeros(0, np.float32)
        return np.asarray((self._embed(left) * self._embed(right)).sum(-1))
