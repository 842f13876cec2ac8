"""Rude words in shown texts, blurred until somebody asks for them."""

from __future__ import annotations

import html
import re
from functools import cache, lru_cache

from leaderboard.space.shown import MAX_CELL, shown, visible
from metrics.systems.baselines import lexicon

# A word and what masks its letters; zero-width characters inside it would otherwise hide it from the list.
_WORD = re.compile(r"[\w$@*](?:[\w'*@$#\u00ad\u200b-\u200d\u2060\ufeff]|!(?=\w))*")
_ZERO_WIDTH = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
# fuuuck: three letters and more stand for one or for two.
_STRETCHED = re.compile(r"(\w)\1{2,}")
_LEET = str.maketrans("@$!013457", "asioieast")
# A longer mask is no word.
_MAX_MASKED = 24


def softened(text: str, show: bool, limit: int = MAX_CELL) -> str:
    """`text` as HTML; its rude words are blurred buttons, unless they are to be shown. Pressing one shows it."""
    if not text or show:
        return shown(text, limit)
    parts = []
    end = 0
    cut = text[:limit]
    for match in _WORD.finditer(cut):
        if is_rude(match[0]):
            word = html.escape(visible(match[0]))
            parts.append(html.escape(visible(cut[end : match.start()])))
            parts.append(f'<button type="button" class="rude" aria-label="rude word">{word}</button>')
            end = match.end()
    parts.append(html.escape(visible(cut[end:] + text[limit:], limit - end)))
    return f"<bdi>{''.join(parts)}</bdi>"


@lru_cache(50_000)
def is_rude(word: str) -> bool:
    """Whether a word is in the project's list, also masked (f**k, b!tch, fuuuck) or joined to another (stupid!you)."""
    word = _ZERO_WIDTH.sub("", word.lower())
    return any(_listed(part) for part in {word, *re.split(r"[!#]", word), word.strip("'*#")} if part)


def _listed(word: str) -> bool:
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
    return any(re.fullmatch(pattern, listed) for listed in _unmasked())


@cache
def _unmasked() -> tuple[str, ...]:
    return tuple(word for word in lexicon() if word.isalpha())
