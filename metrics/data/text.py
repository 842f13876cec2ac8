"""Text rules that change scores, each kept in one place."""

from __future__ import annotations

import re
from itertools import pairwise

_SURROGATES = re.compile("[\ud800-\udfff]")


def well_formed(text: str) -> str:
    """`text` as UTF-8 can hold it: surrogates that make a pair are joined, lone ones are U+FFFD."""
    if _SURROGATES.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def detokenise(text: str) -> str:
    """STRAP's rule (Krishna et al. 2020): joins . , ! ? and parentheses to their neighbours, and nothing else.

    As released, one blank at a time: of two blanks before a comma one stays, and other white space is not touched.
    """
    for sign in ".,!?)":
        text = text.replace(f" {sign}", sign)
    return text.replace("( ", "(")


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
