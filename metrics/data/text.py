"""Rules about single texts. Several scores depend on them, so each rule is defined once."""

import re
from itertools import pairwise
from typing import Any

_SURROGATES = re.compile("[\ud800-\udfff]")


def well_formed(text: str) -> str:
    """Return `text` without lone surrogates, which UTF-8 cannot encode: pairs are joined, lone ones become U+FFFD."""
    if _SURROGATES.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def is_output(value: Any) -> bool:
    """Whether `value` can be an output: well-formed text in one line, single blanks between its words."""
    return isinstance(value, str) and value == " ".join(value.split()) and well_formed(value) == value


def detokenise(text: str) -> str:
    """Join . , ! ? and parentheses to their neighbours across one blank, as STRAP's code does (Krishna et al. 2020)."""
    for sign in ".,!?)":
        text = text.replace(f" {sign}", sign)
    return text.replace("( ", "(")


# Name in a profile -> detokeniser.
DETOKENISERS = {"strap": detokenise, "none": lambda text: text}


def is_copy(source: str, output: str) -> bool:
    """Whether an output equals its source except for white space."""
    return source.split() == output.split()


def length_ratio(source: str, output: str) -> float:
    """Return the number of words of the output divided by that of the source."""
    return len(output.split()) / max(1, len(source.split()))


def repetition(text: str) -> float:
    """Return the share of word bigrams that are repeated: 0 for normal text, near 1 for "well , well ,"."""
    words = text.lower().split()
    bigrams = list(pairwise(words))
    return 1 - len(set(bigrams)) / len(bigrams) if bigrams else 0.0
