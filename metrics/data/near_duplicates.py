"""Near-duplicates: sentences that occur, nearly word for word, inside one text of a collection."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

_THRESHOLD = 0.6  # the share of a sentence's trigrams that one text must contain
_FEWEST_WORDS = 5  # a shorter sentence has too few trigrams, and must equal the text


class NearDuplicates:
    """An index over texts, which finds those that contain a sentence nearly word for word.

    A sentence is a near-duplicate of a text if the text contains at least 60 % of its word trigrams, or if both have
    the same words. Case and punctuation do not count.

    Args:
        texts: The collection.
        queries: All sentences that will be looked up, if they are known. The index then stores only what one of them
            contains, which saves most of the time and nearly all of the memory.
    """

    def __init__(self, texts: Iterable[str], queries: Iterable[str] | None = None) -> None:
        self._size = 0
        # Trigrams and word sequences of the queries; None: store everything.
        self._relevant: set[tuple[str, ...]] | None = None
        if queries is not None:
            sentences = [_words(sentence) for sentence in queries]
            self._relevant = {gram for words in sentences for gram in _trigrams(words)} | set(map(tuple, sentences))
        self._by_trigram: dict[tuple[str, ...], list[int]] = {}
        self._by_words: dict[tuple[str, ...], list[int]] = {}
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Add a text to the collection."""
        words = _words(text)
        for table, keys in ((self._by_words, {tuple(words)}), (self._by_trigram, _trigrams(words))):
            for key in keys if self._relevant is None else keys & self._relevant:
                table.setdefault(key, []).append(self._size)
        self._size += 1

    def contains(self, sentence: str) -> bool:
        """Whether the sentence is a near-duplicate of any text."""
        return bool(self.matches(sentence))

    def matches(self, sentence: str) -> set[int]:
        """Return the numbers, in the order of `add`, of the texts that the sentence is a near-duplicate of."""
        words = _words(sentence)
        found = set(self._by_words.get(tuple(words), ()))
        grams = _trigrams(words)
        if len(words) >= _FEWEST_WORDS:
            hits = Counter(number for gram in grams for number in self._by_trigram.get(gram, ()))
            found.update(number for number, count in hits.items() if count >= _THRESHOLD * len(grams))
        return found


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _trigrams(words: Sequence[str]) -> set[tuple[str, ...]]:
    return set(zip(words, words[1:], words[2:], strict=False))
