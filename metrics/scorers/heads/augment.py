"""Data augmentation for the acceptability head: other spellings, and the errors that automatic rewriters make."""

import random
from collections.abc import Sequence

_ERRORS = ("replace", "replace", "replace", "insert", "drop", "swap", "repeat", "cut")


def words_of(texts: Sequence[str]) -> list[str]:
    """Return all words of `texts` in lower case, as often as they occur."""
    words = (word.strip(".,!?\"'").lower() for text in texts for word in text.split())
    return [word for word in words if word.isalpha()]


def corrupt(text: str, vocabulary: Sequence[str], rng: random.Random) -> str:
    """Return `text` with one or two errors: a word replaced, inserted, dropped, swapped or repeated, or the end cut.

    Inserted words are from `vocabulary`; a text of fewer than three words stays as it is.
    """
    words = text.split()
    for _ in range(rng.choice((1, 1, 2))):
        if len(words) < 3:
            break
        error, i = rng.choice(_ERRORS), rng.randrange(len(words) - 1)
        if error == "replace":
            words[i] = rng.choice(vocabulary)
        elif error == "insert":
            words.insert(i + 1, rng.choice(vocabulary))
        elif error == "drop":
            del words[i]
        elif error == "swap":
            words[i], words[i + 1] = words[i + 1], words[i]
        elif error == "repeat":
            words[i:i] = words[i : i + rng.choice((1, 1, 2, 3))]
        else:
            words = words[: max(2, int(len(words) * rng.uniform(0.4, 0.85)))]
    return " ".join(words)


def respell(text: str, rng: random.Random) -> str:
    """Return `text` as it is, in lower case, or in lower case without apostrophes, at random."""
    kind = rng.choice(("as is", "as is", "lower", "bare"))
    if kind == "as is":
        return text
    return text.lower().replace("'", "") if kind == "bare" else text.lower()
