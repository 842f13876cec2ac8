"""Trivial systems: they return the source, the source without rude words, or the human rewrite."""

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from metrics.data.languages import ENGLISH
from metrics.util.errors import InputError
from metrics.util.files import read_lines

if TYPE_CHECKING:
    from metrics.data.test_sets import TestSet

LEXICON = Path(__file__).parent / "lexicon.txt"


@functools.cache
def lexicon() -> frozenset[str]:
    """Return the rude words of the delete baseline, in lower case; the list was written for this project."""
    return frozenset(line for line in read_lines(LEXICON) if line and not line.startswith("#"))


def delete_rude_words(text: str) -> str:
    """Return `text` without the words of the lexicon; runs of white space become one blank."""
    words = lexicon()
    return " ".join(re.sub(r"[\w'*@$]+", lambda m: "" if m[0].lower() in words else m[0], text).split())


def _reference(test_set: "TestSet") -> list[str]:
    if not all(test_set.references):
        raise InputError(f"reference: test set {test_set.name} has sentences without a human rewrite")
    return [references[0] for references in test_set.references]


def _delete(test_set: "TestSet") -> list[str]:
    if test_set.lang != ENGLISH:
        raise InputError(f"delete: the built-in lexicon is English, {test_set.name} is in {test_set.lang}")
    return [delete_rude_words(source) for source in test_set.sources]


# Name -> the function that rewrites a test set; `metrics.systems.lexicons` serves `delete` in other languages.
BASELINES: dict[str, Callable[["TestSet"], list[str]]] = {
    "duplicate": lambda test_set: list(test_set.sources),
    "delete": _delete,
    "reference": _reference,
}
