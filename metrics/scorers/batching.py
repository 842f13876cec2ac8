"""What scorers do before a model sees a text: clean and truncate it, and compute each distinct text once."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.data.text import well_formed

Array = NDArray[np.float64]
# No tokenizer here makes tokens of more characters, so max_tokens truncates whatever lies behind.
_CHARACTERS_PER_TOKEN = 64
# Texts that `TextCache` computes at once.
_CHUNK = 1024


def truncate(texts: Sequence[str], max_tokens: int, side: str = "right") -> list[str]:
    """Return well-formed texts without characters that cannot be among the `max_tokens` tokens that stay.

    Args:
        texts: The texts.
        max_tokens: The greatest number of tokens of a text.
        side: The side on which a tokenizer truncates, "right" or "left".
    """
    size = max_tokens * _CHARACTERS_PER_TOKEN
    return [well_formed(text)[-size:] if side == "left" else well_formed(text)[:size] for text in texts]


def score_unique(items: Sequence[Hashable], score: Callable[[list[Any]], Array]) -> Array:
    """Return the values [n, …] of items [n], such as texts; `score` computes those of the distinct items."""
    unique = list(dict.fromkeys(items))
    index = {item: i for i, item in enumerate(unique)}
    return score(unique)[[index[item] for item in items]]


def pair_cosines(left: Sequence[str], right: Sequence[str], embed: Callable[[list[str]], Array]) -> Array:
    """Return the cosines [n], in [-1, 1], of n pairs of texts; `embed` returns vectors [2 n, width] of unit length."""
    if not left:
        return np.zeros(0)
    both = embed([*left, *right])
    return np.clip((both[: len(left)] * both[len(left) :]).sum(-1), -1.0, 1.0)


def pad(rows: Sequence[Sequence[int]], padding: int = 0) -> tuple[Any, Any]:
    """Return sequences of token ids as a tensor [n, longest], padded on the right, and its mask, 0 at padding."""
    import torch

    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[padding] * (width - len(row))] for row in rows])
    return ids, torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])


class TextCache:
    """An LRU cache: text, or pair of texts -> value. `compute` maps chunks of distinct texts that are not cached."""

    def __init__(self, compute: Callable[[list[Any]], Sequence[Any]], max_size: int = 65_536) -> None:
        self._compute, self._max_size = compute, max_size
        self._values: OrderedDict[Hashable, Any] = OrderedDict()

    def __call__(self, texts: Sequence[Hashable]) -> list[Any]:
        """Return the value of each text; each distinct text is computed once."""
        # This call's values are collected separately: it may have more distinct texts than the cache holds.
        current = {text: self._values[text] for text in texts if text in self._values}
        missing = [text for text in dict.fromkeys(texts) if text not in current]
        for start in range(0, len(missing), _CHUNK):
            chunk = missing[start : start + _CHUNK]
            current.update(zip(chunk, self._compute(chunk), strict=True))
        for text in current:
            self._values[text] = current[text]
            self._values.move_to_end(text)
        while len(self._values) > self._max_size:
            self._values.popitem(last=False)
        return [current[text] for text in texts]
