"""Insulting sentences in plain words: without names, forms of address and threats."""

from collections import Counter
from functools import lru_cache

from repro.wording.contempt import without_contempt
from repro.wording.names import without_names
from repro.wording.rudeness import words
from repro.wording.threats import find_request

# The time that the rules take grows with a power of the length.
_MOST_WORDS = 60


@lru_cache(maxsize=2**14)
def say_plainly(text: str) -> str:
    """Return a sentence without its threat, insulting names and forms of address; the sentence if it has none.

    Texts of over 60 words are returned as they are.
    """
    if len(text.split()) > _MOST_WORDS:
        return text
    return without_names(without_contempt(find_request(text) or text))


def insult_words(text: str) -> frozenset[str]:
    """Return the words, in lower case, that a sentence loses when it is said plainly."""
    return frozenset(words(text)) - frozenset(words(say_plainly(text)))


def plain_words(text: str) -> frozenset[str]:
    """Return the words, in lower case, that a sentence has more often when it is said plainly."""
    return frozenset(Counter(words(say_plainly(text))) - Counter(words(text)))
