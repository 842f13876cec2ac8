"""What every scorer does before a model sees a text: each distinct text once, and only what UTF-8 can hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from metrics.data.text import well_formed

Array = np.ndarray[Any, np.dtype[np.float64]]
# Words are shorter than this: what lies behind this many characters per token would be cut by max_tokens anyway.
CHARACTERS_PER_TOKEN = 64


def bounded(texts: Sequence[str], max_tokens: int) -> list[str]:
    """Texts that a tokenizer takes, cut where `max_tokens` would cut them at the latest."""
    return [well_formed(text)[: max_tokens * CHARACTERS_PER_TOKEN] for text in texts]


def score_unique(texts: Sequence[str], score: Callable[[list[str]], Array]) -> Array:
    """Applies `score` to the distinct texts and spreads the values: shape [len(texts), …]."""
    unique = list(dict.fromkeys(texts))
    values = score(unique)
    place = {text: i for i, text in enumerate(unique)}
    return values[[place[text] for text in texts]]
