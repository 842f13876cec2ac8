"""Rude words in texts on the page, blurred until the reader shows them."""

from __future__ import annotations

import html
import re
from functools import cache, lru_cache

from leaderboard.space.escaping import MAX_CELL, to_html
from metrics.systems.baselines import lexicon
from metrics.util.characters import printable

# A word with the signs that mask its letters, and with zero-width characters, which would hide it from the list.
_WORD = re.compile(r"[\w$@*](?:[\w'*@$#\u00ad\u200b-\u200d\u2060\ufeff]|!(?=\w))*")
_ZERO_WIDTH = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
# fuuuck: three equal letters or more stand for one or for two.
_STRETCHED = re.compile(r"(\w)\1{2,}")
_LEET = str.maketrans("@$!013457", "asioieast")
# The longest masked word; the patterns of longer ones take too long to match.
_MAX_MASKED = 24


def blur_rude_words(text: str, show: bool, limit: int = MAX_CELL) -> str:
    """Return `text` as HTML in which each rude word is a blurred button that shows the word when pressed.

    Args:
        text: Any text.
        show: Whether rude words are shown instead.
        limit: Characters of `text` to show.
    """
    if not text or show:
        return to_html(text, limit)
    parts = []
    end = 0
    cut = text[:limit]
    for match in _WORD.finditer(cut):
        if is_rude(match[0]):
            parts.append(html.escape(printable(cut[end : match.start()], limit)))
            word = html.escape(printable(match[0], limit))
            parts.append(f'<button type="button" class="rude" aria-label="rude word">{word}</button>')
            end = match.end()
    parts.append(html.escape(printable(cut[end:] + text[limit:], limit - end)))
    return f"<bdi>{''.join(parts)}</bdi>"


@lru_cache(50_000)
def is_rude(word: str) -> bool:
    """Return whether a word is in the lexicon, also masked (f**k, b!tch, fuuuck) or joined to another (stupid!you)."""
    word = _ZERO_WIDTH.sub("", word.lower())
    return any(_is_listed(part) for part in {word, *re.split(r"[!#]", word), word.strip("'*#")} if part)


def _is_listed(word: str) -> bool:
    words = lexicon()
    if not re.search("[a-z$@]", word):
        return False
    plain = word.translate(_LEET)
    if words & {word, plain, _STRETCHED.sub(r"\1", plain), _STRETCHED.sub(r"\1\1", plain)}:
        return True
    if not 2 < len(word) <= _MAX_MASKED or not re.match(r"[a-z$@]", word) or not re.search("[*#]", word):
        return False
    # A mask covers as many letters as it has signs, or one more.
    parts = re.findall(r"([^*#]+)|([*#]+)", word)
    pattern = "".join(rf"\w{{{len(mask)},{len(mask) + 1}}}" if mask else re.escape(letters) for letters, mask in parts)
    return any(re.fullmatch(pattern, listed) for listed in _plain_words())


@cache
def _plain_words() -> tuple[str, ...]:
    return tuple(word for word in lexicon() if word.isalpha())
