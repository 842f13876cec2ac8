"""Text rules that change scores, each kept in one place."""

from __future__ import annotations

import re
from itertools import pairwise


def detokenise(text: str) -> str:
    """STRAP's rule (Krishna et al. 2020): joins . , ! ? and parentheses to their neighbours, and nothing else."""
    text = re.sub(r"\s+([.,!?)])", r"\1", text)
    return re.sub(r"\(\s+", "(", text)


DETOKENISERS = {"strap": detokenise, "none": lambda text: text}


def is_copy(source: str, output: str) -> bool:
    """Whether an output is its input but for white space."""
    return source.split() == output.split()


def length_ratio(source: str, output: str) -> float:
    """Words of the output over words of the source."""
    return len(output.split()) / max(1, len(source.split()))


def repetition(text: str) -> float:
    """The share of word bigrams of `text` that stood in it before: 0 for normal text, near 1 for "well , well ,"."""
    words = text.lower().split()
    bigrams = list(pairwise(words))
    return 1 - len(set(bigrams)) / len(bigrams) if bigrams else 0.0
