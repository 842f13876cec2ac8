"""A rewrite with the words that its source lacks marked, and a source with the words that the rewrite lost."""

import re
from difflib import SequenceMatcher
from functools import lru_cache

from leaderboard.space.escaping import MAX_CELL, blur_rude_words

# With more words, or such long ones, texts are shown without differences: comparing them takes too long.
_MAX_WORDS = 80
_WORD = re.compile(r"\S+\s*")


@lru_cache(4_096)
def mark_differences(source: str, output: str, show_rude: bool) -> tuple[str, str]:
    """Return (source, output) as HTML: <del> around words that only the source has, <ins> around the output's own.

    Case does not count. Rude words are blurred unless `show_rude`.
    """
    left, right = (_WORD.findall(text) for text in (source, output))
    if max(len(left), len(right)) > _MAX_WORDS or max(len(source), len(output)) > MAX_CELL:
        return blur_rude_words(source, show_rude), blur_rude_words(output, show_rude)
    keys = [[word.strip().casefold() for word in words] for words in (left, right)]
    blocks = SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_opcodes()
    spans: tuple[list[str], list[str]] = ([], [])
    for kind, a, b, c, d in blocks:
        for words, part, tag in ((left[a:b], spans[0], "del"), (right[c:d], spans[1], "ins")):
            text = "".join(words)
            if text:
                html, space = blur_rude_words(text.rstrip(), show_rude), text[len(text.rstrip()) :] and " "
                part.append(f"{html if kind == 'equal' else f'<{tag}>{html}</{tag}>'}{space}")
    empty = blur_rude_words("", show_rude)
    return "".join(spans[0]) or empty, "".join(spans[1]) or empty
