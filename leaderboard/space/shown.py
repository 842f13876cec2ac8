"""Foreign text on the page: names, notes and outputs come from anybody and must stay text.

Everything that reaches HTML goes through `shown` (or `visible` and `html.escape` for attributes), every cell of a CSV
through `csv_cell`.
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Any
from urllib.parse import quote, urlsplit

from metrics.util.hub import HUB_ID

# Longer texts are cut in tables; what was cut is counted.
MAX_CELL = 1_000
MAX_NAME = 120
# What changes how a line is drawn without being drawn: control, format and surrogate characters, line separators.
_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
_SYMBOLS = {"\n": "↵", "\t": "⇥"}
# Spreadsheets take a text that begins so for a formula (OWASP, CSV injection), the full-width forms too.
_FORMULA = re.compile(r"^[=+\-@\t\r\n＝＋－＠]")
_COMMIT = re.compile(r"^[0-9a-f]{40}(?=$|\+)", re.ASCII)
NOTHING = '<span class="nothing">–</span>'


def visible(text: str, limit: int = MAX_CELL) -> str:
    """`text` with its invisible characters spelled out (⟨U+202E⟩), cut to `limit` characters."""
    cut = _spelled_out(text[:limit])
    return cut if len(text) <= limit else f"{cut}… ({len(text) - limit:,} more characters)"


def _spelled_out(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        _SYMBOLS.get(character) or f"⟨U+{ord(character):04X}⟩"
        if unicodedata.category(character) in _INVISIBLE
        else character
        for character in text
    )


def shown(value: Any, limit: int = MAX_CELL) -> str:
    """A value as HTML: text isolated from the direction of what surrounds it, a dash for nothing."""
    if value is None or value == "":
        return NOTHING
    return f"<bdi>{html.escape(visible(str(value), limit))}</bdi>"


def attribute(text: str, limit: int = MAX_NAME) -> str:
    return html.escape(visible(text, limit))


def outside(url: str, text: str) -> str:
    """A link to another site as HTML. `text` is HTML already. What is not a plain https address stays text."""
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        plain = False
    if not plain or not url.isascii() or not url.isprintable() or " " in url:
        return text
    return f'<a href="{html.escape(url)}" rel="noopener noreferrer" target="_blank">{text}</a>'


def hub_commit(name: str, revision: str) -> str:
    """The commit of a model on the Hub, "" for whatever else a system may be."""
    commit = _COMMIT.match(revision)
    return commit[0] if commit and HUB_ID.match(name) and "/" in name else ""


def hub_link(name: str, revision: str) -> str:
    """A link to a model's files at the commit that was scored, as HTML; "" for systems that are not on the Hub."""
    commit = hub_commit(name, revision)
    if not commit:
        return ""
    return outside(f"https://huggingface.co/{quote(name)}/tree/{commit}", f"{shown(name, MAX_NAME)} on the Hub")


def csv_cell(value: Any) -> Any:
    """A value for a CSV: numbers stay numbers, lists are joined, and no text can begin a formula."""
    if isinstance(value, list | tuple):
        value = "; ".join(map(str, value))
    if not isinstance(value, str):
        return "" if value is None else value
    text = _spelled_out(value)
    return f"'{text}" if _FORMULA.match(value) else text
