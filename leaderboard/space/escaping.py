"""Text from outside: names, notes and outputs come from anybody and must stay text.

Text reaches HTML only through `to_html`, `to_attribute` or `blur_rude_words`, and a CSV only through `to_csv_cell`.
"""

import html
import re
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

from metrics.systems.baselines import lexicon
from metrics.util.characters import printable
from metrics.util.hub import HUB_ID

# Longer texts are cut in tables, with the number of characters left out.
MAX_CELL = 1_000
MAX_NAME = 120
# Spreadsheets read a text that begins with one of these as a formula (OWASP, CSV injection), also in full width.
_FORMULA = re.compile(r"^[=+\-@\t\r\n＝＋－＠]")
_COMMIT = re.compile(r"^[0-9a-f]{40}(?=$|\+)", re.ASCII)
# A word with the signs that mask its letters, and with zero-width characters, which would hide it from the list.
_WORD = re.compile(r"[\w$@*](?:[\w'*@$#\u00ad\u200b-\u200d\u2060\ufeff]|!(?=\w))*")
_ZERO_WIDTH = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
# fuuuck: three equal letters or more stand for one or for two.
_STRETCHED = re.compile(r"(\w)\1{2,}")
_LEET = str.maketrans("@$!013457", "asioieast")
# The longest masked word; the patterns of longer ones take too long to match.
_MAX_MASKED = 24
MISSING = '<span class="nothing">–</span>'


def to_html(value: Any, limit: int = MAX_CELL) -> str:
    """Return a value as HTML: escaped text that keeps its own writing direction; a dash for None and ""."""
    if value is None or value == "":
        return MISSING
    return f"<bdi>{html.escape(printable(str(value), limit))}</bdi>"


def to_attribute(text: str, limit: int = MAX_NAME) -> str:
    """Return `text`, cut to `limit` characters, as the value of an HTML attribute."""
    return html.escape(printable(text, limit))


def external_link(url: str, text: str) -> str:
    """Return `text` (HTML) as a link to another site; unlinked if `url` is not a plain https address."""
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        plain = False
    if not plain or not url.isascii() or not url.isprintable() or " " in url:
        return text
    return f'<a href="{html.escape(url)}" rel="noopener noreferrer" target="_blank">{text}</a>'


def hub_commit(name: str, revision: str) -> str:
    """Return the Hub commit in a system's revision, "" if the system is not a model on the Hub."""
    commit = _COMMIT.match(revision)
    return commit[0] if commit and HUB_ID.match(name) and "/" in name else ""


def hub_link(name: str, revision: str) -> str:
    """Return a link to a model's files at the scored commit, as HTML; "" if the system is not on the Hub."""
    commit = hub_commit(name, revision)
    if not commit:
        return ""
    return external_link(f"https://huggingface.co/{quote(name)}/tree/{commit}", f"{to_html(name, MAX_NAME)} on the Hub")


def to_csv_cell(value: Any) -> Any:
    """Return a value for a CSV file: numbers unchanged, lists joined, texts that no spreadsheet reads as a formula."""
    if isinstance(value, list | tuple):
        value = "; ".join(map(str, value))
    if not isinstance(value, str):
        return "" if value is None else value
    text = printable(value, len(value))
    return f"'{text}" if _FORMULA.match(value) else text


# -- rude words -----------------------------------------------------------------------------------------------------
def blur_rude_words(text: str, show: bool, limit: int = MAX_CELL) -> str:
    """Return `text`, cut to `limit` characters, as HTML; rude words are blurred buttons, or plain text if `show`."""
    if not text or show:
        return to_html(text, limit)
    parts, end, cut = [], 0, text[:limit]
    for match in _WORD.finditer(cut):
        if is_rude(match[0]):
            parts.append(html.escape(printable(cut[end : match.start()], limit)))
            word = html.escape(printable(match[0], limit))
            # The title is the button's accessible name, since its text is hidden from screen readers.
            hidden = f'<span aria-hidden="true">{word}</span>'
            parts.append(f'<button type="button" class="rude" title="rude word">{hidden}</button>')
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
    return any(listed.isalpha() and re.fullmatch(pattern, listed) for listed in words)
